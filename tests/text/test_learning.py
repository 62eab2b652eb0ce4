"""What learning is for: the words of a person who says the same things again are offered sooner."""

import math

import numpy as np
import pytest

from tests.text.test_mixing import PIECES, SPECIAL, WORDS, spell
from tests.text.toy_model import ToyModel
from volition.core import EventFrame, NodeError
from volition.core.events import Menu, Text
from volition.core.node import drive
from volition.nodes.text import choicelog
from volition.nodes.text import generator as module
from volition.nodes.text.generator import Generator
from volition.nodes.text.learned import Learned, Taste
from volition.nodes.text.mixing import Mixing
from volition.nodes.text.process import ModelProcess
from volition.nodes.text.profile import Profile, find_profile
from volition.nodes.text.proposals import Limits, Proposal, propose, split
from volition.nodes.text.proposer import Proposer, Settings, personal
from volition.nodes.text.requests import Proposals, Request, accepted

PHRASES = ["call my sister anna now", "please bring water", "where is the cup", "bring the tea now please"]
LIMITS = Limits(k=5, n_words=1, grow=1.0)


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv("VOLITION_PROFILE", str(tmp_path / "profile"))
    return tmp_path / "profile"


def offer(model, learned, text):
    """A menu as the proposer makes it."""
    where = split(text)
    mixing = Mixing(learned.cache, where, learned.taste.lambda_max, spell)
    outcome = propose(model, WORDS, where, LIMITS, mixing=mixing)
    outcome = personal(outcome, where, learned, (), LIMITS.k)
    return Proposals(Request(text), outcome.options, outcome.p_none, outcome.covered_mass, "toy")


def coverage(taste: Taste, rounds=6, seed=5):
    """The share of words that were on the menu, in the first and the last round of a person who learns nothing."""
    learned, shares = Learned(taste), []
    for _ in range(rounds):
        hits = []
        for phrase in PHRASES:
            text, rows = "so", []
            for word in phrase.split():
                shown = offer(ToyModel(seed, 0.3, PIECES, SPECIAL), learned, text)
                assert math.fsum(math.exp(option.log_probability) for option in shown.options) <= 1 + 1e-9
                words = [option.text for option in shown.options]
                taken = words.index(f" {word}") if f" {word}" in words else None
                hits.append(taken is not None)
                rows.append(choicelog.choice(shown, "choice" if hits[-1] else "none", taken, 0, {}, (1.0,) * 5))
                text = f"{text} {word}"
            learned.learn(rows, text)
        shares.append(float(np.mean(hits)))
    return shares[0], shares[-1]


OFF = Taste(lambda_max=0.0, rank=False, bias=False)


@pytest.mark.slow
@pytest.mark.parametrize("reading", ["choice", "accepted-only", "mask"])
def test_repeated_phrases_are_covered_with_learning_and_not_without(reading):
    _, learned = coverage(Taste(reading=reading))
    before, without = coverage(OFF)
    assert before == without <= 0.5
    assert learned >= 0.9 and learned >= without + 0.3


@pytest.mark.slow
def test_the_ranking_by_itself_finds_what_the_person_takes():
    _, ranked = coverage(Taste(lambda_max=0.0, bias=False), rounds=10)
    _, without = coverage(OFF, rounds=10)
    assert ranked >= without


# The proposer and its process

SAID = "the zeppelin of Ottokar is late"


@pytest.fixture(scope="module")
def taught():
    learned = Learned(Taste(half_life=1e6))
    for _ in range(3):
        learned.learn([], SAID)
    return learned


@pytest.mark.slow
def test_the_model_s_process_holds_what_was_learned(taught):
    settings = Settings("embedded", threads=1)
    here, process = Proposer(settings), ModelProcess(settings, deadline=None, ahead=True)
    try:
        plain = process.ask(Request("the zeppelin of"))
        assert not plain.rest and not any("ottokar" in option.text.lower() for option in plain.options)
        process.teach(6, {"learned": taught.pack()})
        process.teach(7, {"rows": [], "text": SAID})
        asked = Request("the zeppelin of", learned=7)
        answer = process.ask(asked)
        assert any(option.text.startswith(" Ottokar") for option in answer.options[:2]) and answer.rest
        assert answer.covered_mass <= 1
        with pytest.raises(NodeError, match="not 7"):
            here(asked)
        here.learn(6, {"learned": taught.pack()})
        here.learn(7, {"rows": [], "text": SAID})
        mine = here(asked)
        assert [option.text for option in mine.options] == [option.text for option in answer.options]
        for option in mine.options:
            assert sum(option.why.values()) == pytest.approx(option.log_probability, abs=1e-6)
            assert len(option.features) == len(answer.options[0].features)
        process.ask(accepted(asked, " Ottokar is"))
        assert (
            process.ask(Request("the zeppelin of Ot", half_typed=True, learned=7)).options[0].text.startswith("tokar")
        )
        assert process.ask(Request("the zeppelin of")).options == plain.options
        first = process.pid
        process._child.process.kill()
        process._child.process.wait()
        again = process.ask(asked)
        while again.model == "fallback":
            again = process.ask(asked)
        assert process.pid != first and again.options[0].text == answer.options[0].text  # taught anew
    finally:
        here.close()
        process.close()


# The node


class Scripted:
    """Stands in for the model's process, and keeps what it was taught."""

    def __init__(self, settings, deadline=0.0, ahead=True):
        self.settings, self.requests, self.lessons, self.idle = settings, [], {}, []

    def teach(self, version, lesson):
        self.lessons[version] = lesson

    def ask(self, request):
        self.requests.append(request)
        options, rest = (
            tuple(
                Proposal(f" {word}", math.log(p), (n,), (math.log(p),), (), {"model": math.log(p)}, (0.1 * n,) * 14)
                for n, (word, p) in enumerate(words)
            )
            for words in ([("am", 0.5), ("was", 0.2), ("will", 0.1)], [("did", 0.04), ("had", 0.02)])
        )
        return Proposals(request, options, 0.2, 0.8, "scripted", rest=rest)

    def prefer(self, order):
        pass

    def cut(self):
        pass

    def close(self):
        pass


TEXTS = [
    ("", "start"),
    (" am", "choice"),
    (" am was", "choice"),
    (" am", "undo"),
    (" am will", "choice"),
    ("", "cleared"),
]


def run(monkeypatch, texts=TEXTS, muted=False, **parameters):
    monkeypatch.setattr(module, "ModelProcess", Scripted)
    generator = Generator(options=3, steer={"adapters": {}}, **parameters)
    generator.id = "words"
    generator.muted = muted
    menus = []
    for n, (text, reason) in enumerate(texts, 1):
        outputs = drive(generator, now=n, i_text=EventFrame.of(Text(text=text, reason=reason).at(n)))
        menus += [Menu.parse(data) for _, _, data in outputs.get("o", ())]
    return generator, menus


def test_the_generator_learns_and_says_so_in_its_requests(monkeypatch):
    generator, menus = run(monkeypatch, profile="anna", explore=0.0)
    process = generator._process
    assert [request.learned for request in process.requests] == [1, 1, 1, 1, 1, 2]
    assert list(process.lessons) == [1, 2]
    held = Learned.unpack(process.lessons[1]["learned"])
    held.learn(process.lessons[2]["rows"], process.lessons[2]["text"])
    assert held.cache.after(("am",)).best(1)[0][0] == "will"
    profile = Profile(find_profile("anna"))
    assert [row.get("outcome") for row in profile.rows()] == ["choice", "choice", "choice", None]
    assert profile.learned.choices == 2 and profile.learned.pack() == held.pack()
    assert "am will" in profile.memory_file.read_text()
    assert [option.text for option in menus[0].options] == [" am", " was", " will"]
    generator.terminate()
    assert (profile.folder / "learned.json").exists()


def test_the_generator_explores_by_its_seed_and_the_log_says_how_likely_that_was(monkeypatch):
    texts = [("", "start"), *((" x" * n, "typed") for n in range(1, 60))]
    _, menus = run(monkeypatch, texts, profile="own", explore=0.5)
    shown = [menu.options[2].text for menu in menus]
    assert {" will", " did", " had"} == set(shown) and 15 < shown.count(" will") < 45
    assert all(
        menu.covered_mass == pytest.approx(sum(math.exp(o.log_probability) for o in menu.options)) for menu in menus
    )
    rows = Profile(find_profile()).rows()
    for row, text in zip(rows, shown, strict=False):
        expected = {" will": 0.5, " did": 0.5 * 4 / 6, " had": 0.5 * 2 / 6}[text]
        assert row["options"][2]["propensity"] == pytest.approx(expected, abs=1e-5)
    again = run(monkeypatch, texts, profile="other", explore=0.5)[1]
    assert [menu.options[2].text for menu in again] == shown
    off = run(monkeypatch, texts, profile="other", explore=0.0)[1]
    assert {menu.options[2].text for menu in off} == {" will"}
    nobody = run(monkeypatch, texts, explore=0.5)[1]
    assert {menu.options[2].text for menu in nobody} == {" will"}


def test_a_replay_writes_nothing_and_shows_what_was_shown(monkeypatch, folder):
    _, live = run(monkeypatch, profile="own", explore=0.5)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    generator, replayed = run(monkeypatch, muted=True, profile="own", explore=0.5)
    generator.terminate()
    assert replayed == live
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_full_disk_is_reported_and_does_not_stop_the_writing(monkeypatch):
    def full(self, values):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("volition.nodes.text.linefile.LineFile.append", full)
    generator, menus = run(monkeypatch, TEXTS[:-1], profile="own", explore=0.0, memory="")
    assert len(menus) == 5
    assert any("No space left" in data["message"] for _, _, data in generator.take_reports())
