"""What all benchmarks print: one table for people, one JSON object for machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], figures: Mapping[str, Any]) -> None:
    """Print the table, or with ``--json`` in the arguments the figures."""
    if "--json" in sys.argv:
        print(json.dumps(figures))
        return
    cells = [[f"{c:.3g}" if isinstance(c, float) else str(c) for c in row] for row in [columns, *rows]]
    widths = [max(len(row[k]) for row in cells) for k in range(len(columns))]
    print(title)
    for row in cells:
        print("  ".join(c.ljust(w) if k == 0 else c.rjust(w) for k, (c, w) in enumerate(zip(row, widths, strict=True))))
