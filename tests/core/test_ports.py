"""Ports: like Timeflux's, without its hazards."""

import numpy as np
import pandas as pd
import pytest
from timeflux.core.io import Port as TimefluxPort
from timeflux.core.registry import Registry

from volition.core import EventFrame, EventsIn, FrameError, Node, NodeError, SignalFrame, SignalIn, SignalOut
from volition.core.ports import Port

INDEX = pd.DatetimeIndex([1_700_000_000_000_000_000, 1_700_000_000_100_000_000])
FRAME = SignalFrame(INDEX.asi8.copy(), np.array([[1.0], [2.0]]), ("a",), 10.0, "uV")


def table():
    return pd.DataFrame({"a": [1.0, 2.0]}, index=INDEX)


def timed_set(port):
    port.set([[1.0], [2.0]], INDEX, ["a"], {"rate": 10})


def bare_set(port):
    port.set([[1.0], [2.0]], names=["a"])


def assigned(port):
    port.data, port.meta = table(), {"rate": 5}


def meta_first(port):
    port.meta = {"rate": 5}
    port.data = table()


def meta_changed(port):
    port.data = table()
    port.meta["epoch"] = {"onset": 1}


def data_changed(port):
    port.data = table()
    port.data.loc[:, "a"] *= 2


def emptied(port):
    port.data = table()
    port.clear()


def set_to_none(port):
    port.data = table()
    port.data = None


@pytest.mark.parametrize(
    "use", [timed_set, bare_set, assigned, meta_first, meta_changed, data_changed, emptied, set_to_none]
)
def test_as_timeflux(use, monkeypatch):
    monkeypatch.setattr(Registry, "cycle_start", 1_700_000_000.0, raising=False)
    monkeypatch.setattr(Registry, "rate", 10, raising=False)
    ours, theirs = Port(), TimefluxPort()
    use(ours)
    use(theirs)
    assert ours.ready() == theirs.ready()
    assert ours.meta == theirs.meta
    if theirs.data is None:
        assert ours.data is None
    else:
        pd.testing.assert_frame_equal(ours.data, theirs.data)


def test_default_meta_does_not_leak():
    one, other = Port(), Port()
    one.set([[1.0]], INDEX[:1])
    one.meta["leak"] = True
    other.set([[1.0]], INDEX[:1])
    assert other.meta == {}


def test_given_meta_is_copied():
    meta = {"rate": 1}
    port = Port()
    port.set([[1.0]], INDEX[:1], None, meta)
    port.meta["rate"] = 2
    assert meta == {"rate": 1}


def test_frame_and_table_are_two_views():
    port = Port()
    port.frame = FRAME
    assert port.data.equals(table()) and port.meta == {"rate": 10.0, "unit": ["uV"]}
    other = Port()
    other.data, other.meta = port.data, port.meta
    assert other.frame.identity == FRAME.identity
    np.testing.assert_array_equal(other.values, FRAME.values)


def test_writing_to_a_table_does_not_reach_the_frame():
    one, sibling = Port(), Port()
    one.frame = sibling.frame = FRAME
    one.data.iloc[0, 0] = 99.0
    assert sibling.data.iloc[0, 0] == FRAME.values[0, 0] == 1.0


def test_what_is_read_after_a_write_to_the_table_is_what_was_written():
    port = Port()
    port.data = table()
    port.data.iloc[0, 0] = 99.0
    assert port.frame.values[0, 0] == 99.0


def test_port_behaves_as_its_frame():
    port = Port()
    assert not port and list(port) == [] and port.select("a") == []
    port.frame = FRAME
    assert port and len(port) == 2 and port.channels == ("a",) and port.rate == 10.0 and port.unit == ("uV",)
    assert port.times.tolist() == FRAME.times.tolist() and len(port[1:]) == 1
    assert port.like(unit="V").unit == ("V",)
    port.frame = EventFrame.of((1, "a", {}), (2, "b", {}))
    assert port.labels == ("a", "b") and port.select("b") == [(2, "b", {})]


class Doubler(Node):
    """A node that gives twice its input."""

    i = SignalIn()
    o = SignalOut()

    def update(self):
        """Double."""
        if self.i:
            self.o = self.i.like(values=2 * self.i.values)


def test_wrong_kind_of_frame_is_refused():
    node = Doubler()
    node.id = "twice"
    with pytest.raises(FrameError, match="twice: port 'o' takes a SignalFrame, not a EventFrame"):
        node.o = EventFrame.of((1, "a", {}))


def test_two_nodes_do_not_share_ports():
    one, other = Doubler(), Doubler()
    one.i.frame = FRAME
    assert not other.i


def test_declarations_are_checked():
    with pytest.raises((NodeError, RuntimeError)) as caught:
        type("Wrong", (Node,), {"output": SignalOut()})
    assert "i_name or o_name" in str(caught.value) + str(caught.value.__cause__)
    with pytest.raises((NodeError, RuntimeError)) as caught:
        type("Wrong", (Node,), {"o": EventsIn()})
    assert "declared with EventsIn" in str(caught.value) + str(caught.value.__cause__)
