"""The wheel's build hook: build the page and put it, with the error codes, beside the code that reads them.

An editable install takes neither: there the server reads `web/dist` and `spec/codes.toml` of the checkout, and `make`
builds the page when it is stale.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PageHook(BuildHookInterface[Any]):
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        root = Path(self.root)
        sys.path.insert(0, str(root / "tools"))
        from build_page import build_page  # noqa: PLC0415 - the folder is on the path only now

        build_data["force_include"][str(build_page(root))] = "parley/web"
        build_data["force_include"][str(root / "spec" / "codes.toml")] = "parley/spec/codes.toml"
