"""How all pictures of the benchmarks are made."""

from __future__ import annotations

from typing import Any

from volition.core import LoadError


def panels(n: int) -> tuple[Any, list[Any]]:
    """A figure with panels side by side.

    Raises
    ------
    LoadError
        When matplotlib is missing.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise LoadError("the plots are drawn with matplotlib: pip install matplotlib") from None
    figure = Figure(figsize=(4.6 * n, 3.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    made = list(figure.subplots(1, n, squeeze=False)[0])
    for panel in made:
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    return figure, made
