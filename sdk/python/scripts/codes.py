"""Write src/parley_sdk/codes.py from spec/codes.toml: python scripts/codes.py. A test holds the two together."""

import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
HEAD = '"""Made from spec/codes.toml by scripts/codes.py. Do not edit."""\n'


def rendered(codes: str) -> str:
    """The module's text. Code and name are public and never change their meaning; the texts of errors are not here."""
    spec = tomllib.loads(codes)
    lines = [
        HEAD,
        "# name: (code, whether the same command may succeed later)",
        "ERRORS: dict[str, tuple[int, bool]] = {",
    ]
    lines += [f'    "{name}": ({row["code"]}, {row["retryable"]}),' for name, row in spec["error"].items()]
    lines += ["}", "", "# name: close code", "CLOSES: dict[str, int] = {"]
    lines += [f'    "{name}": {row["code"]},' for name, row in spec["close"].items()]
    return "\n".join([*lines, "}", ""])


if __name__ == "__main__":
    text = (HERE.parents[1] / "spec" / "codes.toml").read_text(encoding="utf-8")
    (HERE / "src" / "parley_sdk" / "codes.py").write_text(rendered(text), encoding="utf-8")
