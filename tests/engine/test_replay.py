"""Replay: virtual time, the same answers every time, whatever the cut."""

import textwrap
from dataclasses import replace

import numpy as np
import pytest
import scipy.signal

from tests.engine.pieces import HERE, T0, edge, graph_of, keys, samples
from volition.core import EventFrame, LoadError, SessionError, SignalFrame
from volition.core.clock import SECOND
from volition.engine.load import App, load
from volition.engine.replay import TAIL_NS, Replay, replay, upstream
from volition.engine.virtual import WORK_NS

RATE = 256.0
N = 3000
SINE = """
graphs:
  - id: sense
    nodes:
      - {id: eeg, module: tests.contract.feeds, class: SignalFeed}
      - {id: flash, module: tests.contract.feeds, class: EventsFeed}
      - {id: band, module: volition.nodes.eeg.filters, class: Bandpass, params: {low: 1.0, high: 20.0}}
      - {id: epochs, module: volition.nodes.eeg.epochs, class: Epochs, params: {stop: 0.5}}
    edges:
      - {source: eeg, target: band}
      - {source: band, target: epochs}
      - {source: flash, target: 'epochs:events'}
"""


def sine() -> SignalFrame:
    """A sine with noise in two channels."""
    t = np.arange(N) / RATE
    values = np.stack([np.sin(2 * np.pi * 10 * t), np.cos(2 * np.pi * 3 * t)], axis=1)
    values += 0.1 * np.random.default_rng(0).standard_normal(values.shape)
    return SignalFrame(T0 + np.round(t * SECOND).astype(np.int64), values, ("Cz", "Pz"), RATE, "uV")


def flashes() -> EventFrame:
    """One flash every 0.3 s."""
    times = [T0 + SECOND + round(k * 0.3 * SECOND) for k in range(30)]
    return EventFrame(times, ["flash"] * 30, [{"ids": [str(k)], "menu": 1} for k in range(30)])


@pytest.fixture
def app(tmp_path):
    path = tmp_path / "sine.yaml"
    path.write_text(textwrap.dedent(SINE))
    return load(path)


def cut(frame, seed):
    """A frame as pieces of random length."""
    edges = np.sort(np.random.default_rng(seed).integers(0, len(frame), 40))
    return [frame[a:b] for a, b in zip([0, *edges], [*edges, len(frame)], strict=True)]


TAPS = [("band", "o"), ("epochs", "o")]


def test_same_bytes_twice(app):
    session = {"eeg": sine(), "flash": flashes()}
    one, other = (replay(app, session, taps=TAPS) for _ in range(2))
    assert one.sha256 == other.sha256 and len(one.sha256) == 64
    assert one.seconds == pytest.approx((N - 1) / RATE) and one.realtime_factor > 1
    changed = {**session, "eeg": sine().like(values=sine().values + 1e-9)}
    assert replay(app, changed).sha256 != one.sha256


@pytest.mark.parametrize("seed", [1, 2])
def test_how_the_session_was_cut_does_not_matter(app, seed):
    whole = replay(app, {"eeg": sine(), "flash": flashes()})
    pieces = replay(app, {"eeg": cut(sine(), seed), "flash": cut(flashes(), seed)})
    assert pieces.sha256 == whole.sha256


@pytest.mark.parametrize("chunk", [1, 10, 256, 10_000])
def test_same_outputs_for_every_tick_length(app, chunk):
    session = {"eeg": sine(), "flash": flashes()}
    one, other = replay(app, session, taps=TAPS), replay(app, session, taps=TAPS, chunk=chunk)
    for tap in TAPS:
        a = np.concatenate([f.values for f in one.taps[tap]])
        assert a.tobytes() == np.concatenate([f.values for f in other.taps[tap]]).tobytes()
        assert [t for f in one.taps[tap] for t in f.times] == [t for f in other.taps[tap] for t in f.times]
    assert [d for f in one.taps[TAPS[1]] for d in f.data] == [d for f in other.taps[TAPS[1]] for d in f.data]
    assert one.sha256 == other.sha256


def test_the_filter_is_scipys(app):
    frames = replay(app, {"eeg": sine(), "flash": flashes()}, taps=TAPS).taps["band", "o"]
    sections = scipy.signal.butter(4, [1.0, 20.0], "bandpass", fs=RATE, output="sos")
    x = sine().values
    start = scipy.signal.sosfilt_zi(sections)[:, :, None] * x[0]
    expected = scipy.signal.sosfilt(sections, x, axis=0, zi=start)[0]
    np.testing.assert_allclose(np.concatenate([f.values for f in frames]), expected, atol=1e-9)


def test_parameters_can_be_overridden(app):
    session = {"eeg": sine(), "flash": flashes()}
    assert replay(app, session, override={"band": {"high": 10.0}}).sha256 != replay(app, session).sha256
    with pytest.raises(LoadError, match="band: there is no parameter 'hi'"):
        replay(app, session, override={"band": {"hi": 10.0}})


def test_a_missing_stream_is_a_sentence(app):
    with pytest.raises(SessionError, match=r"'flash' has no stream in the session, which holds 'eeg': .*--map flash="):
        replay(app, {"eeg": sine()})
    mapped = replay(app, {"eeg": sine(), "marks": flashes()}, names={"flash": "marks"})
    assert mapped.sha256 == replay(app, {"eeg": sine(), "flash": flashes()}).sha256
    with pytest.raises(SessionError, match="no samples and no events"):
        replay(app, {"eeg": sine()[:0], "flash": flashes()[:0]})
    with pytest.raises(SessionError, match="at least one sample, not 0"):
        replay(app, {"eeg": sine(), "flash": flashes()}, chunk=0)


def test_upto_runs_only_what_a_node_depends_on(app):
    session = {"eeg": sine(), "flash": flashes()}
    result = replay(app, session, upto="epochs", taps=[("band", "o"), ("epochs", "o")])
    assert result.taps["band", "o"] and not result.taps["epochs", "o"]
    assert [n.id for n in upstream(app, "band").graphs[0].nodes] == ["eeg"]
    assert len(replay(app, {"eeg": sine()}, upto="band", taps=[("eeg", "o")]).taps["eeg", "o"]) > 100
    with pytest.raises(LoadError, match="there is no node 'bands'"):
        replay(app, session, upto="bands")


def test_progress_goes_from_0_to_1(app):
    seen = []
    replay(app, {"eeg": sine(), "flash": flashes()}, chunk=1, progress=seen.append)
    assert seen == sorted(seen) and 0 <= seen[0] < 0.1 and 0.8 < seen[-1] <= 1.0


def app_of(tmp_path, *graphs, edges=()):
    """An app of small nodes."""
    return App(tmp_path / "app.yaml", tmp_path, list(graphs), [edge(text) for text in edges], "")


FEED = ("feed", "Feed", {})


def test_timers_fire_between_the_steps(tmp_path):
    clock = graph_of([FEED, ("clock", "Clockwork", {"every": 0.25})])
    session = {"feed": samples(101)}  # one second, in steps of half a second
    result = replay(app_of(tmp_path, clock), session, chunk=50, taps=[("clock", "o")])
    events = result.events("clock")
    assert [(t - T0) / SECOND for t, _, _ in events] == [k * 0.25 for k in range(9)]
    assert {data["key"] for _, _, data in events} == {"0"}, "a timer came late"
    assert replay(app_of(tmp_path, clock), session, chunk=7).sha256 == result.sha256


def test_events_and_samples_arrive_at_the_first_step_that_reaches_them(tmp_path):
    graph = graph_of([FEED, ("keys", "Keys", {})], "feed:keys -> keys")
    session = {"feed": [samples(101)], "feed-keys": [keys("a", "b", start=T0 + 40)]}
    runner = Replay(app_of(tmp_path, graph), session, chunk=5)
    node, at = runner.graphs[0].nodes["keys"], {}
    for now in runner.run():
        for letter in node.seen[len(at) :]:
            at[letter] = now
    runner.close()
    assert at == {"a": T0 + SECOND // 20, "b": T0 + 3 * SECOND // 20}


@pytest.mark.parametrize("slow", [False, True])
def test_a_cycle_across_graphs_settles(tmp_path, slow):
    left = graph_of([FEED, ("left", "Answer", {"most": 9, "slow": slow})], "feed:keys -> left", name="l")
    right = graph_of([("right", "Answer", {"most": 9})], name="r")
    loop = app_of(tmp_path, left, right, edges=["l.left -> r.right", "r.right -> l.left"])
    session = {"feed": samples(300), "feed-keys": keys("0")}
    result = replay(loop, session, taps=[("left", "o"), ("right", "o")])
    assert [d["key"] for _, _, d in result.events("left")] == ["1", "3", "5", "7", "9"]
    assert [d["key"] for _, _, d in result.events("right")] == ["2", "4", "6", "8"]
    times = [t for t, _, _ in result.events("left")]
    if slow:
        assert np.diff(times).tolist() == [WORK_NS] * 4
    else:
        assert len(set(times)) == 1
    assert replay(loop, session, chunk=1).sha256 == result.sha256


def test_a_star_across_graphs(tmp_path):
    left = graph_of([FEED, ("spread", "Spread", {})], "feed -> spread", name="l")
    right = graph_of([("scale", "Scale", {})], name="r")
    both = app_of(tmp_path, left, right, edges=["l.spread:b -> r.scale"])
    frames = replay(both, {"feed": samples(100)}, taps=[("scale", "o")]).taps["scale", "o"]
    assert sum(len(f) for f in frames) == 100 and frames[0].channels == ("b",)


def test_gaps_arrive_one_segment_at_a_time(tmp_path):
    graph = graph_of([FEED, ("scale", "Scale", {})], "feed -> scale")
    pieces = [samples(10), samples(10, T0 + SECOND // 2, 1), samples(10, T0 + SECOND, 2)]
    result = replay(app_of(tmp_path, graph), {"feed": pieces}, chunk=1000, taps=[("scale", "o")])
    assert [f.segment for f in result.taps["scale", "o"] if len(f) > 1] == [0, 1, 2]
    assert sum(len(f) for f in result.taps["scale", "o"]) == 30


def test_time_goes_on_a_little_after_the_end(tmp_path):
    runner = Replay(app_of(tmp_path, graph_of([FEED])), {"feed": [samples(10)]}, chunk=3)
    times = list(runner.run())
    assert times[0] == T0 and times[-1] == runner.end + TAIL_NS
    assert times == sorted(set(times))


def test_nodes_are_muted_and_sources_are_not_opened(tmp_path):
    runner = Replay(app_of(tmp_path, graph_of([FEED, ("scale", "Scale", {})])), {"feed": [samples(10)]})
    nodes = runner.graphs[0].nodes
    list(runner.run())
    assert nodes["scale"].muted and nodes["feed"].replayed and not nodes["feed"]._started
    assert nodes["scale"].clock is runner.clock
    runner.close()


def test_the_recorder_is_left_out(tmp_path):
    from volition.engine.load import NodeDef

    graph = graph_of([FEED])
    record = NodeDef("rec", "volition.nodes.outputs.record", "Record", {"path": str(tmp_path / "x.xdf")}, HERE)
    graph = replace(graph, nodes=[*graph.nodes, record], edges=[edge("feed -> rec:eeg")])
    replay(app_of(tmp_path, graph), {"feed": samples(10)})
    assert list(tmp_path.iterdir()) == []
