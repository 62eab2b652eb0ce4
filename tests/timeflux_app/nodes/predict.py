"""What the app makes of its predictions."""

import json

import pandas as pd
from timeflux.core.node import Node


class Predictions(Node):
    """Append each prediction, with the truth beside it, to a file.

    Attributes:
        i_events (Port): What the pipeline says.
        o (Port): The share that was right so far.
    """

    def __init__(self, path="predictions.jsonl"):
        self._path = path
        self._right = []

    def update(self):
        if not self.i_events.ready():
            return
        rows = self.i_events.data
        rows = rows[rows["label"] == "predict"]
        epochs = self.i_events.meta.get("epochs", [])
        with open(self._path, "a") as stream:
            for data, meta in zip(rows["data"], epochs, strict=False):
                result = json.loads(data)["result"]
                target = meta["epoch"]["context"]["target"]
                self._right.append(result == target)
                stream.write(json.dumps({"result": result, "target": target}) + "\n")
        if len(rows):
            share = sum(self._right) / len(self._right)
            self.o.data = pd.DataFrame([[share]], index=rows.index[-1:], columns=["right"])


class Count(Node):
    """Count the epochs that come in on a numbered port."""

    def __init__(self):
        self.count = 0

    def update(self):
        for _, _, port in self.iterate("i_*"):
            if port.ready():
                self.count += 1
