"""Calibrating and evaluating by replay, on a made-up recording."""

import numpy as np
import pytest

from volition.core.errors import LoadError, SessionError
from volition.core.events import Flash
from volition.core.frames import EventFrame, SignalFrame
from volition.lab.erp import Flashed, calibrate, evaluate, spelled
from volition.nodes.eeg.erp import ErpModel
from volition.nodes.eeg.erp_fit import Settings

QUICK = Settings(n_filters=(2,), penalties=(0.1,))
RATE = 128.0
CHANNELS = ("Fz", "Cz", "Oz")
LETTERS = ("AB", "CD")
GRAPH = """
graphs:
  - id: speller
    nodes:
      - {id: eeg, module: volition.nodes.sources.lsl, class: LslInlet, params: {type: EEG, unit: uV}}
      - {id: flash, module: volition.nodes.sources.lsl, class: LslEvents, params: {name: volition-flash}}
      - {id: bandpass, module: volition.nodes.eeg.filters, class: Bandpass, params: {low: 0.5, high: 20.0}}
      - {id: pieces, module: volition.nodes.eeg.epochs, class: Epochs, params: {stop: 0.6}}
      - {id: decoder, module: volition.nodes.eeg.erp, class: ErpDecoder}
    edges:
      - {source: eeg, target: bandpass}
      - {source: bandpass, target: pieces}
      - {source: flash, target: pieces:events}
      - {source: pieces, target: decoder}
"""


def recording(word: str, seed: int, rounds: int = 10) -> dict[str, SignalFrame | EventFrame]:
    """EEG with a response to each row and column of a 2 x 2 matrix that holds the letter, and a bad start."""
    rng = np.random.default_rng(seed)
    sets = [list(row) for row in LETTERS] + [list(column) for column in zip(*LETTERS, strict=True)]
    n = round(RATE * (8 + 0.2 * 4 * rounds * len(word)))
    values = rng.normal(size=(n, 3)) * 4 + 500.0
    values[: round(RATE)] += 20_000.0
    response = 3.0 * np.exp(-(((np.arange(64) / RATE - 0.3) / 0.06) ** 2))
    times = np.arange(n) * round(1e9 / RATE) + 10**18
    flashes, at = [], round(6.5 * RATE)
    for menu, letter in enumerate(word):
        for _ in range(rounds):
            for ids in rng.permutation(len(sets)):
                target = letter in sets[ids]
                flashes.append(Flash(ids=sets[ids], menu=menu, target=target).at(int(times[at])))
                if target:
                    values[at : at + 64] += response[:, None] * np.array([1.0, -2.0, 1.5])
                at += round(0.2 * RATE)
    return {"eeg": SignalFrame(times, values, CHANNELS, RATE, "uV"), "flash": EventFrame.of(*flashes)}


@pytest.fixture
def graph(tmp_path):
    path = tmp_path / "speller.yaml"
    path.write_text(GRAPH)
    return path


@pytest.mark.slow
def test_calibrate_then_evaluate(graph, tmp_path):
    model = tmp_path / "model.skops"
    trained = calibrate(recording("ABDC", 0), model, graph, settings=QUICK)
    assert trained["auc"] > 0.8
    assert (trained["letters"], trained["letters_right"], trained["letters_total"]) == ("ABDC", 4, 4)
    assert (trained["flashes"], trained["targets"], trained["flashes_left_out"]) == (160, 80, 0)
    header = ErpModel.load(model).header
    assert (header.channels, header.rate, header.unit, header.stop) == (
        CHANNELS,
        RATE,
        "uV",
        pytest.approx(0.6, abs=0.01),
    )
    assert header.preprocessing == "Bandpass(high=20.0, low=0.5)"
    results = [evaluate(recording("CAB", 1), model, graph, chunk=chunk) for chunk in (10, 26, 256)]
    assert results[0]["auc"] > 0.8
    assert (results[0]["letters"], results[0]["target_letters"], results[0]["letters_right"]) == (
        "CAB",
        "CAB",
        3,
    )
    assert results[0]["letters_right_after"]["10"] == 3
    assert results[0]["notes"] == []
    assert len({result["sha256"] for result in results}) == 1


@pytest.mark.slow
def test_early_flashes_are_left_out_and_another_band_is_noted(graph, tmp_path):
    model = tmp_path / "model.skops"
    trained = calibrate(recording("ABDC", 0), model, graph, settings=QUICK, skip=7.5)
    assert trained["flashes_left_out"] == 5
    graph.write_text(GRAPH.replace("high: 20.0", "high: 18.0"))
    assert "high=18.0" in evaluate(recording("CAB", 1), model, graph)["notes"][0]


def test_what_cannot_be_calibrated_is_said(graph, tmp_path):
    streams = recording("AB", 0)
    silent = [(time, "flash", {k: v for k, v in data.items() if k != "target"}) for time, _, data in streams["flash"]]
    with pytest.raises(SessionError, match="with a cue"):
        calibrate({**streams, "flash": EventFrame.of(*silent)}, tmp_path / "m.skops", graph)
    with pytest.raises(SessionError, match="no flash"):
        calibrate({**streams, "flash": EventFrame.of()}, tmp_path / "m.skops", graph)
    graph.write_text(GRAPH.split("      - {id: decoder", maxsplit=1)[0] + "    edges: []\n")
    with pytest.raises(LoadError, match="one ErpDecoder"):
        calibrate(streams, tmp_path / "m.skops", graph)


def test_spelled_takes_the_largest_sum():
    flashes = [
        Flashed(0, ("A", "B"), True, 1.0),
        Flashed(0, ("C", "D"), False, -1.0),
        Flashed(0, ("A", "C"), True, -0.5),
        Flashed(0, ("B", "D"), False, 0.2),
        Flashed(0, ("A", "C"), True, 1.5),
        Flashed(1, ("A", "B"), False, 1.0),  # nobody knows what was attended
    ]
    assert spelled(flashes) == {
        "letters": "A",
        "target_letters": "A",
        "letters_right": 1,
        "letters_total": 1,
        "letters_right_after": {"1": 0, "2": 1},
    }
    assert spelled([])["letters_total"] == 0
