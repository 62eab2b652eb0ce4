"""What the app's own nodes share; it lies beside the YAML, as a person would put it."""

import numpy as np


def brain(first, count, rate, strong, n_channels):
    """Noise from sample ``first`` on, with a 10 Hz rhythm on the first channel where ``strong`` says so."""
    numbers = np.arange(first, first + count)
    noise = np.stack([np.random.default_rng(int(n)).normal(size=n_channels) for n in numbers])
    rhythm = np.sin(2 * np.pi * 10 * numbers / rate)
    noise[:, 0] += 5 * rhythm * strong(numbers)
    noise[:, -1] += 5 * rhythm * ~strong(numbers)
    return noise
