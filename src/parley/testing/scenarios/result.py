"""What a scenario returns."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from parley.testing.checker import Figures


@dataclass(frozen=True, slots=True)
class Result:
    """The checker's figures, and what only this scenario counts."""

    figures: Figures
    more: dict[str, float] = field(default_factory=dict)

    def flat(self) -> dict[str, float]:
        return asdict(self.figures) | self.more
