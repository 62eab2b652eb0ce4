"""The same with ezmsg's own units: ``ezmsg_graph.py IN OUT``, run by the interpreter of the peers' venv."""

import sys

import ezmsg.core as ez
import pylsl
from ezmsg.lsl.units import LSLInfo, LSLInletSettings, LSLInletUnit, LSLOutletSettings, LSLOutletUnit
from ezmsg.sigproc.butterworthfilter import ButterworthFilter, ButterworthFilterSettings


def main(source: str, target: str) -> None:
    """Run inlet, Butterworth band-pass and outlet in one process, stamps untouched."""
    inlet = LSLInletUnit(
        LSLInletSettings(info=LSLInfo(name=source), use_lsl_clock=True, processing_flags=pylsl.proc_none)
    )
    bandpass = ButterworthFilter(
        ButterworthFilterSettings(axis="time", order=4, cuton=1.0, cutoff=40.0, coef_type="sos")
    )
    outlet = LSLOutletUnit(LSLOutletSettings(stream_name=target, stream_type="EEG", assume_lsl_clock=True))
    ez.run(
        components={"INLET": inlet, "BANDPASS": bandpass, "OUTLET": outlet},
        connections=(
            (inlet.OUTPUT_SIGNAL, bandpass.INPUT_SIGNAL),
            (bandpass.OUTPUT_SIGNAL, outlet.INPUT_SIGNAL),
        ),
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
