"""Sends 8 channels of noise at 256 Hz, stamped with the moment they leave: ``sender.py NAME``."""

import sys
import time

import numpy as np
import pylsl

RATE, CHANNELS = 256, 8


def main(name: str) -> None:
    """Send until stdin closes or the process is ended."""
    info = pylsl.StreamInfo(name, "EEG", CHANNELS, RATE, "float32", name)
    outlet = pylsl.StreamOutlet(info)
    noise = np.random.default_rng(0).normal(0, 10, (RATE, CHANNELS)).tolist()
    start, k = time.monotonic(), 0
    while True:
        k += 1
        time.sleep(max(0.0, start + k / RATE - time.monotonic()))
        outlet.push_sample(noise[k % RATE], pylsl.local_clock())


if __name__ == "__main__":
    main(sys.argv[1])
