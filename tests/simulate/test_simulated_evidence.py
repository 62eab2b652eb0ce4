"""Channels of a stated quality: the ratios are true ones, in time, and the same however the ticks fall."""

import numpy as np
import pytest

from volition.core import EventFrame
from volition.core.events import Calibration, Choice, Engagement, Menu, Option
from volition.core.node import drive
from volition.nodes.simulate.evidence import (
    SimulatedChannel,
    SimulatedEngagement,
    SimulatedErrorPotential,
    look_ratios,
    shifted_ratio,
)

SECOND = 1_000_000_000
T0 = 1_700_000_000 * SECOND


def at(seconds: float) -> int:
    return T0 + round(seconds * SECOND)


def menu(seconds: float, number: int, n: int = 4) -> EventFrame:
    options = [Option(id=str(k), text=f" w{k}", log_probability=-1.0) for k in range(1, n + 1)]
    return EventFrame.of(Menu(menu=number, context="", options=options, p_none=0.1).at(at(seconds)))


def attend(seconds: float, target: str, number: int) -> EventFrame:
    return EventFrame.of(Calibration(step="attend", target=target, menu=number).at(at(seconds)))


def choice(seconds: float, number: int, option: str) -> EventFrame:
    return EventFrame.of(Choice(menu=number, option=option, p=0.9).at(at(seconds)))


def told(out: dict) -> list[tuple]:
    return [(time, data["llr"]) for time, _, data in out.get("o", ())]


@pytest.mark.parametrize(("n", "accuracy"), [(2, 0.6), (6, 0.95), (6, 1 / 6)])
def test_looks_are_as_likely_as_their_ratios_say(n, accuracy):
    # Given that place j is attended to, the ratios of all looks average to 1 under attention to nothing.
    ratios = np.exp([look_ratios(seen, n, accuracy) for seen in range(n)])
    np.testing.assert_allclose(ratios.mean(axis=0), 1.0)
    given = np.where(np.eye(n), accuracy, (1 - accuracy) / (n - 1))
    np.testing.assert_allclose(ratios, given * n)


def test_scores_of_a_stated_d_prime_have_true_ratios():
    rng = np.random.default_rng(0)
    attended = np.arange(400_000) % 2 == 0
    ratios = shifted_ratio(1.5, attended, rng)
    # E[exp(llr)] is 1 where not attended, and E[exp(-llr)] where attended (the ratio is a ratio of densities).
    assert np.exp(ratios[~attended]).mean() == pytest.approx(1.0, abs=0.1)
    assert np.exp(-ratios[attended]).mean() == pytest.approx(1.0, abs=0.1)
    assert ratios[attended].mean() == pytest.approx(1.5**2 / 2, abs=0.02)
    assert ratios[~attended].std() == pytest.approx(1.5, abs=0.02)


def test_evidence_begins_with_attention_and_ends_with_the_choice():
    node = SimulatedChannel(accuracy=0.999, every=0.5)
    assert told(drive(node, now=at(1), i_menu=menu(1, 3))) == [] and node.wake is None
    drive(node, now=at(1.2), i_attend=attend(1.2, "2", 3))
    assert node.wake == at(1.7)
    [(time, llr)] = told(drive(node, now=at(1.8)))
    assert time == at(1.7) and max(llr, key=llr.get) == "2" and set(llr) == {"1", "2", "3", "4", "none"}
    assert [t for t, _ in told(drive(node, now=at(2.9), i_choice=choice(2.8, 3, "2")))] == [at(2.2), at(2.7)]
    assert node.wake is None
    assert told(drive(node, now=at(5))) == []


def test_attention_to_a_menu_that_is_gone_says_nothing():
    node = SimulatedChannel(accuracy=0.9)
    drive(node, now=at(1), i_menu=menu(1, 4))
    drive(node, now=at(2), i_attend=attend(1.5, "2", 3))
    assert node.wake is None


def test_looks_are_right_as_often_as_stated():
    node = SimulatedChannel(accuracy=0.8, every=0.1)
    drive(node, now=at(0), i_menu=menu(0, 1))
    drive(node, now=at(0), i_attend=attend(0, "3", 1))
    seen = [max(llr, key=llr.get) for _, llr in told(drive(node, now=at(400)))]
    assert len(seen) == 4000
    assert np.mean([place == "3" for place in seen]) == pytest.approx(0.8, abs=0.02)
    assert set(seen) == {"1", "2", "3", "4", "none"}


def test_without_a_quality_it_is_silent():
    node = SimulatedChannel()
    drive(node, now=at(0), i_menu=menu(0, 1))
    drive(node, now=at(0), i_attend=attend(0, "3", 1))
    assert node.wake is None and told(drive(node, now=at(9))) == []


def test_a_mistake_is_seen_in_the_error_potential():
    found = {True: [], False: []}
    node = SimulatedErrorPotential(d_prime=2.0, delay=0.5)
    for number in range(2000):
        wrong = number % 2 == 0
        begin = 3.0 * number
        drive(node, now=at(begin), i_attend=attend(begin, "1", number))
        drive(node, now=at(begin + 1), i_choice=choice(begin + 1, number, "2" if wrong else "1"))
        assert node.wake == at(begin + 1.5)
        [(time, _, data)] = list(drive(node, now=at(begin + 2))["o"])
        assert time == at(begin + 1.5) and data["menu"] == number
        found[wrong].append(data["llr"]["wrong"])
    assert np.mean(found[True]) == pytest.approx(2.0, abs=0.2)
    assert np.mean(found[False]) == pytest.approx(-2.0, abs=0.2)


def test_engagement_comes_and_goes_with_the_memory_that_is_stated():
    node = SimulatedEngagement(every=1.0, lasts=10.0)
    assert drive(node, now=at(0)) == {} and node.wake is None
    out = drive(node, now=at(20_000), i_menu=menu(0, 1))
    z = np.array([data["z"] for _, _, data in out["o"]])
    assert len(z) == 20_001 and z.std() == pytest.approx(1.0, abs=0.1)
    assert np.corrcoef(z[:-1], z[1:])[0, 1] == pytest.approx(np.exp(-0.1), abs=0.02)


def test_the_drowsy_look_elsewhere_more_often():
    def right(z: float) -> float:
        node = SimulatedChannel(accuracy=0.9, every=0.1, drowsy=0.2)
        drive(node, now=at(0), i_menu=menu(0, 1), i_engagement=EventFrame.of(Engagement(index=1.0, z=z).at(at(0))))
        drive(node, now=at(0), i_attend=attend(0, "3", 1))
        return np.mean([max(llr, key=llr.get) == "3" for _, llr in told(drive(node, now=at(400)))])

    assert right(1.0) == pytest.approx(0.9, abs=0.02)
    assert right(-2.0) == pytest.approx(0.5, abs=0.03)
