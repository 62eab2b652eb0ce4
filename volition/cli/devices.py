"""``volition devices``: what this machine could listen to."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from volition.cli import show

_PORTS = {
    "linux": ("/dev/serial/by-id/*", "/dev/ttyUSB*", "/dev/ttyACM*", "/dev/rfcomm*"),
    "darwin": ("/dev/cu.usb*",),
}
_DONGLES = {
    "FTDI": "may be an OpenBCI Cyton: board cyton or cyton_daisy",
    "Bluegiga": "a BLED112 dongle: board ganglion, muse_2_bled or muse_s_bled",
    "Low_Energy_Dongle": "a BLED112 dongle: board ganglion, muse_2_bled or muse_s_bled",
    "FreeEEG32": "board freeeeg32",
}
"""What the name of a serial adapter says about the board behind it."""

_TRACKERS = {"2104": "Tobii"}
"""USB vendor ids of gaze trackers."""

USB = Path("/sys/bus/usb/devices")

GAZEPOINT = 4242
"""The port of Gazepoint Control, which speaks the Open Gaze API."""


def devices(
    seconds: Annotated[float, typer.Option(help="How long to look for LSL streams.", min=0.1)] = 1.0,
    network: Annotated[bool, typer.Option("--network", help="Look on other machines, too.")] = False,
    json: show.Json = False,
) -> None:
    """LSL streams, serial ports with the boards they may lead to, and gaze trackers.

    Example: volition devices --seconds 3
    """
    with show.sentences(), show.bar("looking"):
        streams = lsl_streams(seconds, network)
        ports = [{"port": port, "hint": _hint(port)} for port in serial_ports()]
        trackers = list(gaze_trackers(streams))
        boards = _boards()
    answer: dict[str, Any] = {"lsl_streams": streams, "serial_ports": ports, "gaze_trackers": trackers}
    answer["brainflow_boards"] = boards
    show.result(answer, json, _text(answer))


def lsl_streams(seconds: float, network: bool) -> list[dict[str, Any]]:
    """The streams that answer within ``seconds``, by name."""
    import pylsl

    from volition.core.lsl import configure

    configure(network, "volition devices")
    return sorted(
        (
            {
                "name": found.name(),
                "type": found.type(),
                "channels": found.channel_count(),
                "rate_hz": found.nominal_srate(),
                "source_id": found.source_id(),
                "host": found.hostname(),
            }
            for found in pylsl.resolve_streams(seconds)
        ),
        key=lambda stream: (stream["name"], stream["source_id"]),
    )


def serial_ports() -> list[str]:
    """Serial ports by the name that a board's ``serial_port`` takes; each once."""
    if sys.platform == "win32":
        return _windows_ports()
    found: dict[Path, str] = {}
    for pattern in _PORTS.get(sys.platform, _PORTS["linux"]):
        for path in sorted(Path("/").glob(pattern.lstrip("/"))):
            found.setdefault(path.resolve(), str(path))
    return list(found.values())


def _windows_ports() -> list[str]:
    if sys.platform == "win32":
        import winreg

        try:
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"HARDWARE\DEVICEMAP\SERIALCOMM") as key:
                return [str(winreg.EnumValue(key, n)[1]) for n in range(winreg.QueryInfoKey(key)[1])]
        except OSError:
            return []
    return []


def _hint(port: str) -> str:
    return next((hint for name, hint in _DONGLES.items() if name.lower() in port.lower()), "")


def gaze_trackers(streams: list[dict[str, Any]], usb: Path = USB) -> Iterator[dict[str, str]]:
    """Trackers that stream over LSL, hang on USB, or are served by a program on this machine.

    Parameters
    ----------
    streams
        As ``lsl_streams`` gives them.
    usb
        Where Linux lists what is plugged in; other systems have no such folder.
    """
    for stream in streams:
        if stream["type"].lower() == "gaze":
            yield {"name": stream["name"], "over": "LSL", "hint": f"LslInlet with name: {stream['name']}"}
    for vendor in sorted(usb.glob("*/idVendor")):
        maker = _TRACKERS.get(vendor.read_text().strip())
        if maker:
            product = vendor.with_name("product")
            name = product.read_text().strip() if product.is_file() else "gaze tracker"
            hint = "start the maker's LSL bridge, then use LslInlet"
            yield {"name": f"{maker} {name}", "over": "USB", "hint": hint}
    with socket.socket() as probe:
        probe.settimeout(0.2)
        if probe.connect_ex(("127.0.0.1", GAZEPOINT)) == 0:
            hint = f"Gazepoint Control answers on port {GAZEPOINT}: switch its LSL stream on"
            yield {"name": "Gazepoint", "over": "TCP", "hint": hint}


def _boards() -> list[str]:
    from volition.nodes.sources.brainflow import board_names

    return sorted(board_names())


def _text(answer: dict[str, Any]) -> str:
    lines = ["LSL streams"]
    for s in answer["lsl_streams"]:
        rate = f"{s['rate_hz']:g} Hz" if s["rate_hz"] else "irregular"
        lines.append(f"  {s['name']:<24} {s['type']:<10} {s['channels']:>3} ch  {rate:<10} {s['source_id']}")
    if not answer["lsl_streams"]:
        lines.append("  none; is the device's LSL program running? --network looks on other machines, too")
    lines.append("Serial ports")
    lines += [f"  {p['port']}  {p['hint']}".rstrip() for p in answer["serial_ports"]] or ["  none"]
    lines.append("Gaze trackers")
    lines += [f"  {t['name']} over {t['over']}: {t['hint']}" for t in answer["gaze_trackers"]] or ["  none"]
    boards = answer["brainflow_boards"]
    lines.append(f"BrainFlow knows {len(boards)} boards, such as synthetic, muse_2, cyton; --json lists them")
    return "\n".join(lines)
