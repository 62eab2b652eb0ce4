"""Sends an LSL stream until it is killed: ``python sender.py eeg|flash NAME``."""

import json
import sys
import time

import numpy as np
import pylsl

from volition.core.lsl import configure


def main(kind, name):
    configure(False, "sender")
    eeg = kind == "eeg"
    info = pylsl.StreamInfo(
        name,
        "EEG" if eeg else "Markers",
        2 if eeg else 1,
        256 if eeg else 0,
        "float32" if eeg else "string",
        name,
    )
    outlet = pylsl.StreamOutlet(info)
    begin, n = pylsl.local_clock(), 0
    while True:
        due = int((pylsl.local_clock() - begin) * (256 if eeg else 5))
        for k in range(n, due):
            stamp = begin + (k + 1) / (256 if eeg else 5)
            flash = json.dumps({"label": "flash", "data": {"ids": ["A"], "menu": 0}})
            outlet.push_sample([float(k), np.sin(k / 8)] if eeg else [flash], stamp)
        n = max(n, due)
        time.sleep(0.005)


if __name__ == "__main__":
    main(*sys.argv[1:])
