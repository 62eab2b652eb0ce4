"""``volition devices``: streams, ports and trackers, each with what to do with it."""

import socket
import uuid

import pylsl
import pytest

from tests.cli.command import answer, call
from volition.cli import devices as module
from volition.core.lsl import configure


@pytest.mark.slow
def test_a_stream_is_found_and_a_gaze_stream_is_a_tracker():
    configure(False, "test")
    name = f"gaze-{uuid.uuid4().hex}"
    outlet = pylsl.StreamOutlet(pylsl.StreamInfo(name, "Gaze", 2, 60, "float32", name))
    found = answer("devices", "--seconds", "1")
    del outlet
    (stream,) = [s for s in found["lsl_streams"] if s["name"] == name]
    assert (stream["type"], stream["channels"], stream["rate_hz"], stream["source_id"]) == (
        "Gaze",
        2,
        60.0,
        name,
    )
    assert {"name": name, "over": "LSL", "hint": f"LslInlet with name: {name}"} in found["gaze_trackers"]
    assert "muse_2" in found["brainflow_boards"]


def test_nothing_found_says_what_to_try(monkeypatch):
    monkeypatch.setattr(module, "lsl_streams", lambda seconds, network: [])
    monkeypatch.setattr(module, "serial_ports", lambda: [])
    text = call("devices").stdout
    assert "--network" in text
    assert "synthetic" in text


def test_a_dongle_hints_at_its_board(monkeypatch):
    port = "/dev/serial/by-id/usb-FTDI_FT231X_USB_UART_DM00D4TO-if00-port0"
    monkeypatch.setattr(module, "lsl_streams", lambda seconds, network: [])
    monkeypatch.setattr(module, "serial_ports", lambda: [port, "/dev/ttyUSB7"])
    ports = answer("devices")["serial_ports"]
    assert ports[0]["port"] == port
    assert "cyton" in ports[0]["hint"]
    assert ports[1] == {"port": "/dev/ttyUSB7", "hint": ""}


def test_a_tracker_on_usb_is_known_by_its_maker(tmp_path):
    for number, (vendor, product) in enumerate([("2104", "EyeChip"), ("1d6b", "a hub")]):
        device = tmp_path / f"1-{number}"
        device.mkdir()
        (device / "idVendor").write_text(vendor + "\n")
        (device / "product").write_text(product + "\n")
    found = [t for t in module.gaze_trackers([], tmp_path) if t["over"] == "USB"]
    assert [t["name"] for t in found] == ["Tobii EyeChip"]


def test_a_tracker_behind_a_local_port(monkeypatch, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(module, "GAZEPOINT", server.getsockname()[1])
        assert [t["name"] for t in module.gaze_trackers([], tmp_path)] == ["Gazepoint"]
    assert list(module.gaze_trackers([], tmp_path)) == []
