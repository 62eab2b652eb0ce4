"""A page on what was written: tables and plots in one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from volition.lab.scribe import Written
from volition.lab.writing import Run
from volition.lab.writing_figures import TITLES, shown

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 2rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .75rem; text-align: right; border-bottom: 1px solid #8884; }
th:first-child, td:first-child { text-align: left; }
small { opacity: .7; }
figure { margin: 0 0 2rem; } img { max-width: 100%; background: #fff; border-radius: .5rem; }
"""


def page(runs: Sequence[Run], about: str) -> str:
    """The whole page.

    Parameters
    ----------
    runs
        The first one is what the page is about; the others stand beside it.
    about
        What was written.
    """
    first = runs[0]
    plots = [
        ("What each phrase saved", _savings(runs)),
        ("How surely, and how often right", _calibration(first)),
        ("Time to a choice", _times(first)),
    ]
    figures = "".join(
        f'<figure><h2>{title}</h2><img alt="{title}" src="data:image/png;base64,{data}"></figure>'
        for title, data in plots
        if data
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Writing: {html.escape(first.name)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        f"<h1>Writing: {html.escape(first.name)}</h1><p>{html.escape(about)}; on virtual time.</p>"
        f"{_table(runs)}{figures}<h2>The longest phrases</h2>{_phrases(first.written)}</html>\n"
    )


def _table(runs: Sequence[Run]) -> str:
    head = "".join(f"<th>{html.escape(run.name)}</th>" for run in runs)
    rows = []
    for key, (title, _) in TITLES.items():
        cells = "".join(f"<td>{_cell(*shown(run.figures, key))}</td>" for run in runs)
        rows.append(f"<tr><td>{title[:1].upper()}{title[1:]}</td>{cells}</tr>")
    return f"<table><tr><th></th>{head}</tr>{''.join(rows)}</table>"


def _cell(value: str, *ends: str) -> str:
    return f"{value}<br><small>{ends[0]} .. {ends[1]}</small>" if ends else value


def _phrases(written: Sequence[Written]) -> str:
    longest = sorted(written, key=lambda w: -len(w.phrase))[:12]
    rows = "".join(
        f"<tr><td>{html.escape(w.text)}</td><td>{w.count}</td><td>{len(w.phrase)}</td><td>{w.seconds:.0f} s</td></tr>"
        for w in longest
    )
    return f"<table><tr><th>Written</th><th>Selections</th><th>Characters</th><th>Time</th></tr>{rows}</table>"


# Plots


def _drawn(draw: Any, height: float = 3.2) -> str:
    """A plot as PNG, base64; ``draw`` is given the axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    draw(axes)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return base64.b64encode(buffer.getvalue()).decode()


def _savings(runs: Sequence[Run]) -> str:
    def draw(axes: Any) -> None:
        for run in runs:
            saved = np.sort([100.0 * (1.0 - w.count / len(w.phrase)) for w in run.written])
            axes.plot(saved, np.linspace(0, 100, len(saved)), label=run.name)
        axes.set_xlabel("keystrokes saved, %")
        axes.set_ylabel("of the phrases, %")
        axes.legend(frameon=False)

    return _drawn(draw)


def _calibration(run: Run) -> str:
    choices = [s for w in run.written for s in w.selections]
    if not choices:
        return ""
    believed = np.array([s.p.get(s.taken, 0.0) for s in choices])
    right = np.array([s.right for s in choices], dtype=float)
    bins = np.minimum((believed * 10).astype(int), 9)
    points = [(believed[bins == b].mean(), right[bins == b].mean(), int((bins == b).sum())) for b in np.unique(bins)]

    def draw(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
        x, y, n = zip(*points, strict=True)
        axes.scatter(x, y, s=20 + 200 * np.array(n) / max(n))
        axes.set_xlabel("believed of what was taken")
        axes.set_ylabel("how often it was right")

    return _drawn(draw)


def _times(run: Run) -> str:
    taken = [s.seconds for w in run.written for s in w.selections]
    if not taken:
        return ""

    def draw(axes: Any) -> None:
        axes.hist(taken, bins=min(40, max(5, len(taken) // 5)))
        axes.set_xlabel("from menu to choice, s")
        axes.set_ylabel("choices")

    return _drawn(draw, 2.6)
