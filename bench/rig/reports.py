"""How figures are told: a table for people, JSON for programs, a drawing of the ratios."""

from __future__ import annotations

import html
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parents[2] / "bench-results"
BAR_PX, LABEL_PX, ROW_PX = 320, 330, 26


@dataclass
class Comparison:
    """One line of a benchmark: ours against another, judged by the median of the rounds' ratios.

    Attributes:
        name: what was measured.
        other: against what.
        limit: what the ratio must reach, or stay below; None only reports.
        is_cost: smaller is better (latency, CPU time).
        unit: of ours and theirs.
    """

    name: str
    other: str
    limit: float | None
    is_cost: bool = False
    unit: str = "/s"
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)

    def add(self, ours: float, theirs: float) -> None:
        """Figures of one round."""
        self.ours.append(ours)
        self.theirs.append(theirs)

    @property
    def ratios(self) -> list[float]:
        return [mine / other for mine, other in zip(self.ours, self.theirs, strict=True)]

    @property
    def ratio(self) -> float:
        return statistics.median(self.ratios)

    @property
    def is_met(self) -> bool:
        if self.limit is None:
            return True
        return self.ratio <= self.limit if self.is_cost else self.ratio >= self.limit

    def row(self) -> list[str]:
        spread = f"{min(self.ratios):.3g} to {max(self.ratios):.3g}"
        mine, other = statistics.median(self.ours), statistics.median(self.theirs)
        must = ["", ""]
        if self.limit is not None:
            must = [f"{'<=' if self.is_cost else '>='} {self.limit:g}", "met" if self.is_met else "MISSED"]
        figures = [f"{mine:,.0f} {self.unit}", f"{other:,.0f} {self.unit}", f"{self.ratio:.3g}", spread]
        return [self.name, self.other, *figures, *must]

    def as_json(self) -> dict[str, Any]:
        found = {
            "ratio": self.ratio,
            "ratios": self.ratios,
            "limit": self.limit,
            "is_cost": self.is_cost,
            "met": self.is_met,
        }
        return {
            "name": self.name,
            "other": self.other,
            "unit": self.unit,
            "ours": self.ours,
            "theirs": self.theirs,
        } | found


HEADINGS = ["measured", "against", "keystead", "other", "ratio", "spread", "must", ""]


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the first is flush left."""
    widths = [max(len(row[i]) for row in [headings, *rows]) for i in range(len(headings))]
    lines = [headings, ["-" * width for width in widths], *rows]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def write(name: str, results: dict[str, Any]) -> Path:
    """bench-results/NAME.json."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(results, indent=1) + "\n")
    return path


def draw(name: str, comparisons: Sequence[Comparison]) -> Path:
    """bench-results/NAME.svg: how far each line with a limit is from it; the mark in the middle is the limit."""
    judged = [(line, line.limit) for line in comparisons if line.limit is not None]
    width, height = LABEL_PX + BAR_PX + 60, ROW_PX * (len(judged) + 1)
    font = 'font-family="sans-serif" font-size="12"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" {font}>']
    for number, (line, limit) in enumerate(judged):
        share = limit / line.ratio if line.is_cost else line.ratio / limit
        bar_px, y = min(share, 2) / 2 * BAR_PX, number * ROW_PX + 6
        label = html.escape(f"{line.name}: {line.ratio:.3g} x {line.other}")
        colour = "#2a7f4f" if line.is_met else "#b3392f"
        parts.append(f'<text x="4" y="{y + 12}">{label}</text>')
        parts.append(f'<rect x="{LABEL_PX}" y="{y}" width="{bar_px:.0f}" height="16" fill="{colour}"/>')
    middle = LABEL_PX + BAR_PX // 2
    parts.append(f'<line x1="{middle}" y1="0" x2="{middle}" y2="{height - ROW_PX}" stroke="black"/>')
    parts.append(f'<text x="{middle - 30}" y="{height - 8}">required</text></svg>')
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.svg"
    path.write_text("\n".join(parts) + "\n")
    return path
