"""One graph: what moves along which edge, and who is updated when."""

import copy

import numpy as np
import pandas as pd
import pytest
from timeflux.nodes.window import Slide

from tests.engine.pieces import (
    T0,
    Clockwork,
    Feed,
    Keys,
    Reader,
    Scale,
    Spoiler,
    Spread,
    Table,
    graph_of,
    keys,
    samples,
)  # fmt: skip
from volition.core import EpochFrame, LoadError, NodeError
from volition.core.clock import SECOND
from volition.engine.graph import Graph, instantiate, topological_order
from volition.engine.load import NodeDef
from volition.engine.step import Mailbox


def build(nodes, *edges, **options):
    return Graph(graph_of(list(nodes), *edges), nodes, **options)


def test_order_is_topological_and_keeps_the_file_where_it_can():
    definition = graph_of(["d", "c", "b", "a", "x"], "a -> b", "b -> c", "c -> d")
    assert topological_order(definition) == ["a", "b", "c", "d", "x"]
    assert topological_order(graph_of(["a", "b", "c"])) == ["a", "b", "c"]


def test_a_cycle_is_named():
    with pytest.raises(LoadError, match="graph g: a cycle through b, c; break it across two graphs"):
        topological_order(graph_of(["a", "b", "c"], "a -> b", "b -> c", "c -> b"))


def test_a_sample_passes_the_whole_chain_in_one_tick():
    nodes = {"third": Scale(), "second": Scale(), "first": Scale(), "feed": Feed()}
    graph = build(nodes, "second -> third", "first -> second", "feed -> first")
    nodes["feed"].inbox.append(("o", samples()))
    entry = graph.tick(T0)
    assert nodes["third"].o.values.tolist() == [[8.0, 8.0]] * 3
    assert entry == [T0, ["feed", "o", 3]]


def test_idle_nodes_are_skipped_and_their_outputs_are_gone():
    nodes = {"feed": Feed(), "scale": Scale(), "alone": Scale()}
    graph = build(nodes, "feed -> scale")
    graph.tick(T0)
    assert nodes["scale"].updates == nodes["alone"].updates == 1  # the first tick is everyone's
    nodes["feed"].inbox.append(("o", samples()))
    graph.tick(T0 + 1)
    assert (nodes["scale"].updates, nodes["alone"].updates) == (2, 1)
    assert [(n, p) for n, p, _ in graph.outputs()] == [("feed", "o"), ("scale", "o")]
    graph.tick(T0 + 2)
    assert nodes["scale"].updates == 2
    assert list(graph.outputs()) == [] and graph.output("scale", "o") == []
    assert not nodes["scale"].i


def test_timers_wake_only_their_node():
    nodes = {"clock": Clockwork(0.25), "keys": Keys()}
    graph = build(nodes, "clock -> keys")
    graph.tick(T0)
    assert graph.deadline() == T0 + SECOND // 4
    graph.tick(T0 + 1)
    assert len(nodes["keys"].ticks) == 1
    graph.tick(T0 + SECOND // 4)
    assert nodes["keys"].seen == ["0", "0"]
    assert graph.deadline() == T0 + SECOND // 2


def test_events_of_several_edges_are_merged_in_order_of_time():
    nodes = {"one": Feed(), "two": Feed(), "keys": Keys()}
    graph = build(nodes, "one:keys -> keys", "two:keys -> keys")
    nodes["one"].inbox.append(("o_keys", keys("a", "c")))
    nodes["two"].inbox.append(("o_keys", keys("b", "d", start=T0 + 1)))
    graph.tick(T0)
    assert nodes["keys"].seen == ["a", "b", "c", "d"]


def test_mail_joins_events_and_signals_and_stops_at_a_gap():
    nodes = {"scale": Scale(), "keys": Keys()}
    graph = build(nodes)
    signal, events = graph.mailbox("scale", "i", "pipe"), graph.mailbox("keys", "i")
    for frame in (samples(3), samples(2, T0 + SECOND), samples(4, T0 + 2 * SECOND, segment=1)):
        signal.put(frame)
    for frame in (keys("a"), keys("b")):
        events.put(frame)
    assert graph.tick(T0) == [T0, ["scale", "pipe", 2], ["keys", "i", 2]]
    assert len(nodes["scale"].o) == 5 and nodes["keys"].seen == ["a", "b"]
    assert graph.pending()
    graph.tick(T0)
    assert len(nodes["scale"].o) == 4 and not graph.pending()


def test_mail_and_an_edge_into_one_port_are_merged():
    nodes = {"feed": Feed(), "keys": Keys()}
    graph = build(nodes, "feed:keys -> keys")
    graph.mailbox("keys", "i").put(keys("b", start=T0 + 1))
    nodes["feed"].inbox.append(("o_keys", keys("a", "c")))
    graph.tick(T0)
    assert nodes["keys"].seen == ["a", "b", "c"]


def test_epochs_come_one_frame_a_tick():
    box = Mailbox("n", "i")
    one = EpochFrame(np.array([1]), np.ones((1, 2, 1)), ("a",), [{}], np.array([2]), 1.0)
    box.put(one)
    box.put(one)
    assert box.take() == (one, 1) and box.take() == (one, 1) and box.take() == (None, 0)


def test_mailbox_keeps_the_newest():
    box = Mailbox("n", "i")
    frames = [samples(1, T0 + k) for k in range(5)]
    assert [box.put(frame, keep=2) for frame in frames] == [0, 0, 1, 1, 1]
    assert list(box.frames) == frames[3:]


def table(value=1.0, n=3):
    index = pd.DatetimeIndex(T0 + np.arange(n) * (SECOND // 100))
    return pd.DataFrame({"a": np.full(n, value)}, index=index), {"rate": 100}


@pytest.mark.parametrize("order", [("spoiler", "reader"), ("reader", "spoiler")])
def test_a_timeflux_node_that_writes_to_its_input_spoils_no_sibling(order):
    """Timeflux hands the first consumer the very table that the others read later."""
    nodes = {"table": Table(), "spoiler": Spoiler(), "reader": Reader(), "scale": Scale()}
    graph = build(nodes, *(f"table -> {name}" for name in order), "table -> scale")
    expected, meta = table()
    nodes["table"].tables.append(copy.deepcopy((expected, meta)))
    graph.tick(T0)
    pd.testing.assert_frame_equal(nodes["spoiler"].saw, expected)
    pd.testing.assert_frame_equal(nodes["reader"].saw, expected)
    assert nodes["reader"].meta == meta
    assert nodes["scale"].o.values.tolist() == [[2.0]] * 3
    assert graph.output("table", "o")[0].values.tolist() == [[1.0]] * 3


@pytest.mark.parametrize("port", ["o", "o_keys"])
def test_a_timeflux_node_cannot_spoil_a_frame_of_ours(port):
    nodes = {"feed": Feed(), "spoiler": Spoiler(), "reader": Reader()}
    suffix = port[1:].replace("_", ":")
    graph = build(nodes, f"feed{suffix} -> spoiler", f"feed{suffix} -> reader")
    frame = samples() if port == "o" else keys("a", "b")
    nodes["feed"].inbox.append((port, frame))
    expected = frame.to_pandas()[0]
    graph.tick(T0)
    pd.testing.assert_frame_equal(nodes["reader"].saw, expected)
    pd.testing.assert_frame_equal(frame.to_pandas()[0], expected)


def test_events_of_a_timeflux_node_are_not_spoilt_either():
    nodes = {"table": Table(), "spoiler": Spoiler(), "keys": Keys()}
    graph = build(nodes, "table -> spoiler", "table -> keys")
    nodes["table"].tables.append(keys("a").to_pandas())
    graph.tick(T0)
    assert nodes["keys"].seen == ["a"]


def test_starred_outputs_of_ours_reach_inputs_of_timeflux():
    nodes = {"feed": Feed(), "spread": Spread(), "reader": Reader(), "one": Scale()}
    graph = build(nodes, "feed -> spread", "spread:* -> reader", "spread:b -> one")
    nodes["feed"].inbox.append(("o", samples()))
    graph.tick(T0)
    assert sorted(nodes["reader"].ports_seen) == ["i_a", "i_b"]
    assert nodes["one"].o.channels == ("b",)


def test_starred_outputs_of_timeflux_nodes():
    """Slide gives each window at a numbered port, which comes and goes."""
    nodes = {"feed": Feed(), "slide": Slide(0.1, 0.1), "reader": Reader()}
    graph = build(nodes, "feed -> slide", "slide:* -> reader")
    seen = []
    for k in range(6):
        nodes["feed"].inbox.append(("o", samples(10, T0 + k * SECOND // 10)))
        graph.tick(T0 + k)
        seen += nodes["reader"].ports_seen
    assert seen and all(name.startswith("i_") for name in seen)


def test_timeflux_nodes_are_updated_at_every_tick():
    nodes = {"table": Table(), "reader": Reader()}
    graph = build(nodes, "table -> reader")
    for k in range(3):
        graph.tick(T0 + k)
    assert nodes["table"].updates == 3


def test_each_node_has_a_generator_of_its_own():
    def draws(seed):
        nodes = {"a": Scale(), "b": Scale()}
        build(nodes, seed=seed)
        return nodes["a"].rng.random(), nodes["b"].rng.random()

    assert draws(1) == draws(1) != draws(2)
    assert len(set(draws(1) + draws(2))) == 4


def test_ages_are_measured_when_there_is_a_clock():
    from volition.core.clock import VirtualClock

    clock = VirtualClock(T0 + SECOND)
    nodes = {"feed": Feed(), "scale": Scale()}
    graph = build(nodes, "feed -> scale", clock=clock)
    nodes["feed"].inbox.append(("o", samples(1)))
    graph.tick(T0)
    assert graph.ages["feed -> scale"].quantiles() == {"count": 1, "age_ms_p50": 1000.0, "age_ms_p99": 1000.0}


def test_nodes_are_built_with_checked_parameters():
    from tests.engine.pieces import HERE, MODULE

    node = instantiate(NodeDef("s", MODULE, "Scale", {"by": 4.0}, HERE))
    assert (node.id, node.by) == ("s", 4.0)
    with pytest.raises(LoadError, match=r"s: there is no parameter 'bye'"):
        instantiate(NodeDef("s", MODULE, "Scale", {"bye": 3}, HERE))
    with pytest.raises(LoadError, match="s: no class 'Scael'"):
        instantiate(NodeDef("s", MODULE, "Scael", {}, HERE))
    with pytest.raises(LoadError, match="s: no module named"):
        instantiate(NodeDef("s", "there.is.none", "Scale", {}, HERE))


def test_one_node_that_fails_to_close_does_not_spare_the_others():
    class Failing(Scale):
        """Fails to close."""

        def terminate(self):
            raise NodeError("stuck")

    class Closing(Scale):
        """Closes."""

        def terminate(self):
            self.updates = -1

    nodes = {"bad": Failing(), "good": Closing()}
    errors = []
    build(nodes).terminate(lambda name, error: errors.append((name, str(error))))
    assert errors == [("bad", "stuck")] and nodes["good"].updates == -1
