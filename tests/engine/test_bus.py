"""Edges between graphs, over real sockets."""

import threading
import time

import pytest
import zmq

from tests.engine.pieces import keys, samples
from volition.core import BusError
from volition.core.clock import LiveClock
from volition.engine.bus import QUEUE, Pipe, Receiver, Sender, endpoint
from volition.engine.step import Mailbox


class Line:
    """Both ends of one pipe."""

    def __init__(self, folder, policy="block", capacity=8):
        self.context = zmq.Context()
        address = endpoint(folder, 1)
        self.pipe = Pipe("a.x -> b.y", address, "a", "x", "o", "b", "y", "i", policy, capacity)
        self.box = Mailbox("y", "i")
        self.arrived = threading.Semaphore(0)
        self.errors = []
        self.stopping = False
        self.sender = self.receiver = None

    def write(self):
        self.sender = Sender(self.context, self.pipe, LiveClock(), lambda: self.stopping)
        return self.sender

    def read(self):
        self.receiver = Receiver(self.context, self.arrived.release, self.errors.append)
        self.receiver.add(self.pipe, self.box)
        self.receiver.start()
        return self.receiver

    def wait(self, count):
        for _ in range(count):
            assert self.arrived.acquire(timeout=10), f"{len(self.box.frames)} frames came"

    def until(self, letter):
        """Wait for a frame to be the last, while the writer ticks as a graph does."""
        end = time.monotonic() + 10
        while letters(self.box)[-1:] != [letter]:
            assert time.monotonic() < end, f"the last one is {letters(self.box)[-1:]}"
            self.sender.flush()
            self.arrived.acquire(timeout=0.01)

    def close(self):
        self.stopping = True
        if self.receiver is not None:
            self.receiver.close()
        if self.sender is not None:
            self.sender.close()
        self.context.destroy(linger=0)


@pytest.fixture
def line(tmp_path):
    lines = []

    def make(*args):
        lines.append(Line(tmp_path, *args))
        return lines[-1]

    yield make
    for one in lines:
        one.close()


def letters(box):
    """The keys in a mailbox."""
    return [data["key"] for frame in list(box.frames) for _, _, data in frame]


@pytest.mark.parametrize("policy", ["block", "drop_oldest", "latest"])
@pytest.mark.parametrize("first", ["writer", "reader"])
def test_the_first_message_counts_whoever_starts_first(line, policy, first):
    pipe = line(policy)
    if first == "writer":
        pipe.write().send(keys("first"))
        pipe.read()
    else:
        pipe.read()
        pipe.write().send(keys("first"))
    pipe.wait(1)
    assert letters(pipe.box) == ["first"] and pipe.sender.dropped == 0


def test_frames_of_each_kind_arrive_in_order(line):
    pipe = line("block", 100)
    pipe.read()
    pipe.write()
    for k in range(50):
        pipe.sender.send(samples(2, k) if k % 2 else keys(str(k)))
    pipe.wait(50)
    assert [int(f.times[0]) for f in pipe.box.frames][1::2] == list(range(1, 50, 2))
    assert pipe.receiver.take_dropped() == []


def test_block_holds_the_writer_and_loses_nothing(line):
    count = 2_000
    pipe = line("block", 4)
    pipe.read()
    pipe.write()
    sent = []

    def work():
        for k in range(count):
            pipe.sender.send(keys(str(k), "x" * 4000))
            sent.append(k)

    writer = threading.Thread(target=work)
    writer.start()
    pipe.wait(4)
    end = time.monotonic() + 5
    before = -1
    while before != len(sent) and time.monotonic() < end:  # until it no longer moves
        before = len(sent)
        writer.join(0.15)
    assert len(sent) < count and len(pipe.box.frames) <= 5, "the writer was not held"
    got = []
    while len(got) < count:
        frame, _ = pipe.box.take()
        if frame is not None:
            got += [int(data["key"]) for _, _, data in frame if data["key"][0] != "x"]
        else:
            assert pipe.arrived.acquire(timeout=10)
    writer.join(5)
    assert got == list(range(count))


def test_a_held_writer_can_be_stopped(line):
    pipe = line("block", 1)
    pipe.write()
    writer = threading.Thread(target=lambda: [pipe.sender.send(keys("x")) for _ in range(QUEUE * 20)])
    writer.start()
    pipe.stopping = True
    writer.join(5)
    assert not writer.is_alive()


def test_drop_oldest_keeps_the_newest_and_counts_the_rest(line):
    count = 500
    pipe = line("drop_oldest", 8)
    pipe.read()
    pipe.write()
    for k in range(count):
        pipe.sender.send(keys(str(k)))
    pipe.until(str(count - 1))
    assert letters(pipe.box) == [str(k) for k in range(count - 8, count)]
    dropped = pipe.receiver.take_dropped()
    assert sum(e.count for e in dropped) + pipe.sender.dropped == count - 8
    assert all((e.source, e.what) == ("a.x -> b.y", "message") for e in dropped)
    assert pipe.receiver.take_dropped() == []


def test_latest_keeps_the_last(line):
    pipe = line("latest")
    pipe.read()
    pipe.write()
    for k in range(100):
        pipe.sender.send(keys(str(k)))
    pipe.until("99")
    assert letters(pipe.box) == ["99"]
    assert sum(e.count for e in pipe.receiver.take_dropped()) + pipe.sender.dropped == 99


@pytest.mark.parametrize("policy", ["drop_oldest", "latest"])
def test_a_writer_without_a_reader_drops_and_counts(line, policy):
    pipe = line(policy, 4)
    pipe.write()
    for k in range(300):
        pipe.sender.send(keys(str(k)))
    assert pipe.sender.dropped >= 300 - QUEUE - 4
    pipe.read()
    pipe.until("299")  # which must not wait for another frame


def test_messages_wait_while_the_reader_restarts(line):
    pipe = line("block", 100)
    pipe.read()
    pipe.write().send(keys("a"))
    pipe.wait(1)
    monitor = pipe.sender._socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    pipe.receiver.close()
    assert monitor.poll(10_000), "the writer did not notice"  # what is on its way when a reader dies is lost
    pipe.sender._socket.disable_monitor()
    monitor.close(0)
    pipe.sender.send(keys("b"))
    pipe.sender.send(keys("c"))
    pipe.read()
    pipe.wait(2)
    assert letters(pipe.box) == ["a", "b", "c"]


def test_a_message_that_is_none_is_said_and_the_next_one_read(line):
    pipe = line()
    pipe.read()
    stranger = pipe.context.socket(zmq.PUSH)
    stranger.connect(pipe.pipe.endpoint)
    stranger.send_multipart([b"{", b"garbage"])
    stranger.send_multipart([b"alone"])
    stranger.close(linger=1000)
    pipe.write().send(keys("fine"))
    pipe.wait(1)
    end = time.monotonic() + 10
    while len(pipe.errors) < 2 and time.monotonic() < end:
        pipe.arrived.acquire(timeout=0.01)
    assert len(pipe.errors) == 2 and all("edge a.x -> b.y: a message on the bus" in e for e in pipe.errors)
    assert letters(pipe.box) == ["fine"]


def test_an_address_in_use_is_a_sentence(tmp_path):
    context = zmq.Context()
    taken = context.socket(zmq.PULL)
    port = taken.bind_to_random_port("tcp://127.0.0.1")
    receiver = Receiver(context, lambda: None, lambda text: None)
    pipe = Pipe("a.x -> b.y", f"tcp://127.0.0.1:{port}", "a", "x", "o", "b", "y", "i")
    with pytest.raises(BusError, match=r"edge a\.x -> b\.y: cannot bind"):
        receiver.add(pipe, Mailbox("y", "i"))
    receiver.close()
    taken.close(0)
    context.term()  # would wait for ever if a socket had stayed open


def test_addresses_stay_on_this_machine(tmp_path):
    from volition.core.keys import is_local

    assert is_local(endpoint(tmp_path, 1))
    assert endpoint(tmp_path, 1) != endpoint(tmp_path, 2)
