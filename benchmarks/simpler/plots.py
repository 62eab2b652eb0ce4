"""The curves as pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.plotting import panels
from benchmarks.store import Row

COLOURS = ("#1f5fa8", "#c4501b", "#3a7d34", "#6b6b6b")
MARKS = "os^D"

BITS, HITS = "bits per character", "next word among 5 offered, %"


def picture(folder: Path, name: str) -> Path:
    """Where the picture of a curve is."""
    return folder / f"simpler-{name}.png"


def write_plots(rows: Mapping[str, Sequence[Row]], folder: Path) -> None:
    """A PNG file for each curve that has points.

    Raises
    ------
    LoadError
        When matplotlib is missing.
    """
    for name, draw in (("parameters", _parameters), ("depth", _depth), ("context", _context), ("words", _words)):
        if rows[name]:
            draw(rows[name], picture(folder, name))


def _by_model(rows: Sequence[Row]) -> Iterator[tuple[int, str, list[Row]]]:
    for n, label in enumerate(dict.fromkeys(row["model"] for row in rows)):
        yield n, label, [row for row in rows if row["model"] == label]


def _errors(rows: Sequence[Row], middle: str, ends: str, scale: float = 1.0) -> dict[str, Any]:
    """Values with the distances to both ends of their intervals, where rounding leaves none below 0."""
    values = [scale * row[middle] for row in rows]
    below = [max(0.0, value - scale * row[ends][0]) for value, row in zip(values, rows, strict=True)]
    above = [max(0.0, scale * row[ends][1] - value) for value, row in zip(values, rows, strict=True)]
    return {"y": values, "yerr": [below, above]}


def _line(panel: Any, n: int, label: str, x: Sequence[float], points: dict[str, Any], style: str = "-") -> None:
    panel.errorbar(x, **points, label=label, color=COLOURS[n], marker=MARKS[n], linestyle=style, capsize=2.5)


def _ticks(panel: Any, values: Sequence[float]) -> None:
    panel.set_xticks(values, [f"{value:,g}" for value in values])
    panel.minorticks_off()


def _parameters(rows: Sequence[Row], path: Path) -> None:
    figure, (left, right) = panels(2)
    for n, label, found in _by_model(rows):
        asked = [row for row in found if row.get("hit") is not None]
        for panel, some, middle, scale in ((left, found, "bits", 1.0), (right, asked, "hit", 100.0)):
            if some:
                x = [row["parameters"] for row in some]
                _line(panel, n, label, x, _errors(some, middle, f"{middle}_ci95", scale), "none")
    known = [row["parameters"] for row in rows]
    for panel, name in ((left, BITS), (right, HITS)):
        panel.set(xscale="log", xlim=(min(known) / 2, max(known) * 2), ylim=(0, None), xlabel="parameters", ylabel=name)
    _legend(figure, left)
    figure.savefig(path)


def _depth(rows: Sequence[Row], path: Path) -> None:
    figure, (left, right) = panels(2)
    for n, label, found in _by_model(rows):
        x = [row["blocks"] for row in found]
        _line(left, n, label, x, _errors(found, "bits", "bits_ci95"))
        _line(right, n, label, x, _errors(found, "hit", "hit_ci95", 100.0))
    for panel, name in ((left, BITS), (right, HITS)):
        panel.set(xlabel="blocks that are kept", ylabel=name, ylim=(0, None))
        _ticks(panel, sorted({row["blocks"] for row in rows}))
    _legend(figure, left)
    figure.savefig(path)


def _context(rows: Sequence[Row], path: Path) -> None:
    figure, (panel,) = panels(1)
    for n, label, found in _by_model(rows):
        _line(panel, n, label, [row["limit"] for row in found], _errors(found, "bits", "bits_ci95"))
    panel.set(xscale="log", xlabel="tokens of the prompt, at most", ylabel=BITS)
    _ticks(panel, sorted({row["limit"] for row in rows}))
    _legend(figure, panel)
    figure.savefig(path)


def _words(rows: Sequence[Row], path: Path) -> None:
    figure, (panel,) = panels(1)
    for n, label, found in _by_model(rows):
        for row in found:
            points = [
                {"hit": row["rates"][rank], "hit_ci95": ends}
                for rank, ends in zip(row["rates"], row["rates_ci95"], strict=True)
            ]
            _line(panel, n, label, [int(rank) for rank in row["rates"]], _errors(points, "hit", "hit_ci95", 100.0))
    panel.set(xlabel="words offered", ylabel="next word among them, %", ylim=(0, None))
    _ticks(panel, sorted({int(rank) for row in rows for rank in row["rates"]}))
    _legend(figure, panel)
    figure.savefig(path)


def _legend(figure: Any, panel: Any) -> None:
    handles, labels = panel.get_legend_handles_labels()
    columns = min(2, len(labels)) if len(figure.axes) > 1 else 1
    figure.legend(handles, labels, loc="outside upper center", ncols=columns, frameon=False)
