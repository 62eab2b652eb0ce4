"""Units under their one name, as XDF and LSL write them, and from one size of volts to another."""

from __future__ import annotations

_SPELLINGS = {
    "nV": ("nv", "nanovolt", "nanovolts"),
    "uV": ("uv", "µv", "μv", "microv", "microvolt", "microvolts"),
    "mV": ("mv", "millivolt", "millivolts"),
    "V": ("v", "volt", "volts"),
    "px": ("px", "pixel", "pixels"),
    "norm": ("norm", "normalized", "normalised"),
    "deg": ("deg", "degree", "degrees"),
    "mm": ("mm", "millimeter", "millimeters", "millimetre", "millimetres"),
    "s": ("s", "second", "seconds"),
    "Hz": ("hz", "hertz"),
}
_NAMES = {spelling: name for name, spellings in _SPELLINGS.items() for spelling in spellings}
_XDF = {"nV": "nanovolts", "uV": "microvolts", "mV": "millivolts", "V": "volts"}
_POWERS = {"V": 0, "mV": -3, "uV": -6, "nV": -9}


def unit_name(text: str) -> str:
    """The name that a unit has inside the program; an unknown one stays as it is.

    >>> unit_name("microvolts"), unit_name("µV"), unit_name("beats")
    ('uV', 'uV', 'beats')
    """
    return _NAMES.get(text.strip().lower(), text.strip())


def xdf_unit(name: str) -> str:
    """The spelling that the XDF meta-data specification asks for.

    >>> xdf_unit("uV"), xdf_unit("px")
    ('microvolts', 'px')
    """
    return _XDF.get(name, name)


def unit_factor(found: str, wanted: str) -> float | None:
    """What values in ``found`` are multiplied by to be in ``wanted``; None when that cannot be.

    >>> unit_factor("V", "uV"), unit_factor("px", "px"), unit_factor("px", "uV")
    (1000000.0, 1.0, None)
    """
    if found == wanted:
        return 1.0
    if found in _POWERS and wanted in _POWERS:
        power = _POWERS[found] - _POWERS[wanted]
        return 10.0**power if power > 0 else 1.0 / 10.0**-power
    return None
