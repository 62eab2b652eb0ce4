"""The least that anybody could do: pylsl, scipy's filter, pylsl. ``bare.py IN OUT``."""

import sys

import numpy as np
import pylsl
from scipy.signal import butter, sosfilt, sosfilt_zi


def main(source: str, target: str) -> None:
    """Filter and forward every sample the moment it comes."""
    (found,) = pylsl.resolve_byprop("name", source)
    inlet = pylsl.StreamInlet(found)
    channels, rate = found.channel_count(), found.nominal_srate()
    outlet = pylsl.StreamOutlet(pylsl.StreamInfo(target, "EEG", channels, rate, "float32", target))
    sections = butter(4, (1.0, 40.0), "bandpass", fs=rate, output="sos")
    sample, stamp = inlet.pull_sample()
    state = sosfilt_zi(sections)[:, :, None] * np.array(sample)
    while True:
        filtered, state = sosfilt(sections, np.array([sample]), axis=0, zi=state)
        outlet.push_sample(filtered[0], stamp)
        sample, stamp = inlet.pull_sample()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
