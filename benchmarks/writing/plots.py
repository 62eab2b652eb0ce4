"""The curves of docs/writing.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.plotting import panels

Row = dict[str, Any]


def write_plots(rows: Mapping[str, Sequence[Row]], out: Path) -> list[Path]:
    """One PNG a question that has a curve."""
    made = []
    if rows.get("channels"):
        made.append(_channels(rows["channels"], out / "writing-channels.png"))
    if rows.get("stopping"):
        made.append(_stopping(rows["stopping"], out / "writing-stopping.png"))
    if rows.get("learning"):
        made.append(_learning(rows["learning"], out / "writing-learning.png"))
    return made


def _channels(rows: Sequence[Row], path: Path) -> Path:
    drawn, (axes,) = panels(1)
    axes.set(xlabel="looks that are right, %", ylabel="characters a minute")
    names = list(dict.fromkeys(row["channels"] for row in rows))
    for n, name in enumerate(names):
        own = [row for row in rows if row["channels"] == name]
        axes.plot(
            [100 * row["accuracy"] + 0.15 * (n - len(names) / 2) for row in own],
            [row["chars_per_min"] for row in own],
            marker="o",
            label=name,
        )
    return _saved(drawn, path)


def _stopping(rows: Sequence[Row], path: Path) -> Path:
    drawn, (axes,) = panels(1)
    axes.set(xlabel="seconds a choice", ylabel="false accepts, %")
    x = [row["seconds_a_choice"] for row in rows]
    y = [100 * row["false_accept_rate"] for row in rows]
    axes.plot(x, y, marker="o")
    for row, a, b in zip(rows, x, y, strict=True):
        axes.annotate(f"{row['threshold']:g}", (a, b), textcoords="offset points", xytext=(6, 4), fontsize=8)
    axes.set_ylim(bottom=0)
    drawn.savefig(path)
    return path


def _learning(rows: Sequence[Row], path: Path) -> Path:
    drawn, (axes,) = panels(1)
    axes.set(xlabel="tenth of the session", ylabel="keystrokes saved, %")
    for row in rows:
        style = "--" if row["learned"] == "nothing" else "-"
        tenths = range(1, len(row["deciles"]) + 1)
        axes.plot(
            tenths, [100 * saved for saved in row["deciles"]], style, marker="o", markersize=3, label=row["learned"]
        )
    return _saved(drawn, path)


def _saved(drawn: Any, path: Path) -> Path:
    """Written with the legend beside the curves."""
    drawn.set_size_inches(7.4, 3.6)
    drawn.legend(loc="outside right upper", frameon=False, fontsize=8)
    drawn.savefig(path)
    return path
