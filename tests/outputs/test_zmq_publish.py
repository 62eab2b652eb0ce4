"""Publish: topics, JSON, order, signals, loopback and keys."""

from __future__ import annotations

import json
import time

import msgpack
import numpy as np
import pytest
import zmq

from volition.core import BusError, EventFrame, SignalFrame
from volition.core import keys as keyring
from volition.core.node import drive
from volition.nodes.outputs.zmq import Publish, event_message

ANYWHERE = "tcp://127.0.0.1:*"
SYNC = EventFrame.of((0, "key", {"key": "sync"}))


@pytest.fixture
def subscribe():
    """Connects subscribers, and closes them at the end."""
    context = zmq.Context()
    sockets = []

    def connect(node, secure=None):
        socket = context.socket(zmq.SUB)
        sockets.append(socket)
        socket.subscribe(b"")
        if secure is not None:
            secure(socket)
        socket.connect(node.endpoint)
        return socket

    yield connect
    for socket in sockets:
        socket.close(linger=0)
    context.term()


def synchronise(node, socket, seconds=5.0):
    """Publish until the subscriber hears; False when it never does."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        drive(node, i_sync=SYNC)
        if socket.poll(20):
            break
    else:
        return False
    while socket.poll(100):
        socket.recv_multipart()
    return True


def receive(socket, n):
    messages = []
    while len(messages) < n and socket.poll(5000):
        messages.append(socket.recv_multipart())
    return messages


def test_events_of_all_ports_go_out_in_order_of_time(subscribe):
    node = Publish(ANYWHERE)
    drive(node)
    socket = subscribe(node)
    assert synchronise(node, socket)
    drive(
        node,
        i_text=EventFrame.of((2, "text", {"text": "да"}), (9, "text", {"text": "нет"})),
        i_choice=EventFrame.of((2, "choice", {"menu": 1, "option": "2", "p": 0.9}), (5, "undo", {})),
    )
    messages = receive(socket, 4)
    bodies = [json.loads(body) for _, body in messages]
    assert [topic.decode() for topic, _ in messages] == ["choice", "text", "undo", "text"]
    assert [b["time_ns"] for b in bodies] == [2, 2, 5, 9]
    assert bodies[1] == {
        "time_ns": 2,
        "label": "text",
        "version": 1,
        "source": "text",
        "data": {"text": "да"},
    }
    node.terminate()


def test_a_topic_can_be_subscribed_to():
    assert event_message(1, "menu", {}, "menu")[0] == b"menu"


def test_signals_only_when_asked(subscribe):
    frame = SignalFrame(np.array([1, 2]), np.array([[1.5, 2], [3, 4]], np.float32), ("a", "b"), 10.0, "uV", 4)
    node = Publish(ANYWHERE, signals=True)
    drive(node)
    socket = subscribe(node)
    assert synchronise(node, socket)
    drive(node, i_eeg=frame)
    ((topic, body),) = receive(socket, 1)
    message = msgpack.unpackb(body)
    assert topic == b"signal/eeg"
    assert np.frombuffer(message["times"], "<i8").tolist() == [1, 2]
    values = np.frombuffer(message["values"], message["dtype"]).reshape(message["shape"])
    assert values.tolist() == [[1.5, 2], [3, 4]]
    assert (message["channels"], message["rate"], message["unit"], message["segment"]) == (
        ["a", "b"],
        10.0,
        ["uV", "uV"],
        4,
    )
    node.terminate()

    node = Publish(ANYWHERE)
    drive(node)
    socket = subscribe(node)
    assert synchronise(node, socket)
    drive(node, i_eeg=frame)
    drive(node, i_sync=SYNC)
    assert [topic for topic, _ in receive(socket, 1)] == [b"key"]
    node.terminate()


@pytest.mark.parametrize("address", ["tcp://*:5556", "tcp://0.0.0.0:5556", "tcp://192.0.2.1:5556", "tcp://eth0:1"])
def test_other_machines_need_keys(address):
    with pytest.raises(BusError, match="run `volition keys new"):
        Publish(address)


@pytest.mark.parametrize("address", [ANYWHERE, "tcp://localhost:*", "tcp://[::1]:*", "ipc://@volition", "inproc://a"])
def test_this_machine_needs_none(address):
    Publish(address)


def test_a_port_in_use_is_a_sentence():
    first = Publish(ANYWHERE)
    drive(first)
    second = Publish(first.endpoint)
    second.id = "publish"
    with pytest.raises(BusError, match=r"publish: cannot bind tcp://127\.0\.0\.1"):
        drive(second)
    first.terminate()
    second.terminate()
    again = Publish(str(first.address))
    drive(again)
    again.terminate()
    again.terminate()


def test_a_replay_publishes_nothing():
    node = Publish(ANYWHERE)
    node.muted = True
    drive(node, i_sync=SYNC)
    assert node.endpoint == ""
    node.terminate()


def test_only_readers_with_a_key_that_was_let_in_hear(subscribe, tmp_path):
    folder = tmp_path / "keys"
    keyring.create(folder, "server")
    keyring.create(folder, "reader")
    node = Publish(ANYWHERE, keys=str(folder))
    drive(node)

    known = subscribe(node, lambda s: keyring.secure_client(s, folder, "reader"))
    assert synchronise(node, known)

    stranger = tmp_path / "stranger"
    keyring.create(stranger, "reader")
    (stranger / "server.key").write_bytes((folder / "server.key").read_bytes())
    unknown = subscribe(node, lambda s: keyring.secure_client(s, stranger, "reader"))
    plain = subscribe(node)
    assert not synchronise(node, unknown, 0.3)
    assert not plain.poll(0)
    node.terminate()


def test_keys_let_the_node_leave_this_machine(tmp_path):
    keyring.create(tmp_path / "keys", "server")
    node = Publish("tcp://0.0.0.0:*", keys=str(tmp_path / "keys"))
    drive(node)
    assert node.endpoint.startswith("tcp://0.0.0.0:")
    node.terminate()


def test_missing_keys_are_a_sentence_and_leave_nothing_open(tmp_path):
    node = Publish("tcp://0.0.0.0:*", keys=str(tmp_path / "none"))
    with pytest.raises(BusError, match="run `volition keys new"):
        drive(node)
    assert node._context is None
    node.terminate()
