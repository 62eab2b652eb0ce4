"""Writer and generator together: letters are offered, and every one is reached from anywhere."""

import pytest

from volition.core import EventFrame
from volition.core.events import Choice, Command, Key, Menu, Turn
from volition.core.node import drive
from volition.nodes.text import generator as module
from volition.nodes.text.draft import spelt
from volition.nodes.text.generator import Generator
from volition.nodes.text.letters import CYRILLIC, LATIN
from volition.nodes.text.proposer import without_model
from volition.nodes.text.requests import following, pack, unpack_proposals
from volition.nodes.text.writer import NONE, Writer


class Table:
    """Stands in for the model's process: the small tables answer, and what was foreseen is compared."""

    def __init__(self, settings, deadline=0.0, ahead=True):
        self.settings = settings
        self.idle = []
        self.foreseen = []
        self.requests = []

    def ask(self, request):
        self.requests.append(request)
        answer = without_model(request, self.settings.limits, "no model")
        assert unpack_proposals(pack(answer)) == answer
        return answer

    def prefer(self, order):
        pass

    def cut(self):
        pass

    def close(self):
        pass


class Loop:
    """A writer and a generator, one tick after the other, and a person who chooses."""

    def __init__(self, monkeypatch, k=5, **params):
        monkeypatch.setattr(module, "ModelProcess", Table)
        self.writer, self.generator = Writer(**params), Generator(options=k, frame="everyday")
        self.time = 0
        self.menu = self.text = None
        self._pass(drive(self.writer, now=0))

    def _pass(self, outputs):
        if "o" in outputs:
            self.text = outputs["o"].data[-1]
            menu = drive(self.generator, now=self.time, i_text=outputs["o"])["o"]
            self.menu = Menu.parse(menu.data[-1])
            drive(self.writer, now=self.time, i_menu=menu)
            assert self.menu.context == self.text["text"]

    def do(self, event, port):
        self.time += 1
        self._pass(drive(self.writer, now=self.time, **{port: EventFrame.of(event.at(self.time))}))

    def choose(self, option):
        text = next((o.text for o in self.menu.options if o.id == option), "")
        self.do(Choice(menu=self.menu.menu, option=option, text=text, p=0.9), "i_choice")

    def command(self, name):
        self.do(Command(command=name), "i_command")

    def key(self, key):
        self.do(Key(key=key), "i_key")

    def seek(self, letter):
        """Choose until the letter is typed, by choices alone; how many it took."""
        before, half_typed = self.text["text"], self.writer._draft.half_typed
        for n in range(1, 40):
            typing = self.menu.kind is not None
            found = next((o for o in self.menu.options if typing and letter in o.text), None)
            self.choose(found.id if found else NONE)
            if found and found.text == letter:
                assert self.text["text"] == spelt(before, letter, half_typed)
                assert self.text["reason"] == "typed" and self.menu.kind is None
                return n
            assert self.text["text"] == before
        raise AssertionError(f"{letter!r} is not reached")


def begin(loop, state):
    """Bring a loop into a state."""
    if state == "words":
        loop.choose("1")
    elif state == "refused":
        loop.choose(NONE)
    elif state == "half-typed":
        loop.key("w")
    elif state == "typed a mark":
        loop.command("letters")
        loop.seek(",")
    elif state in ("groups", "other groups", "within a group"):
        loop.choose("1")
        loop.command("letters")
        if state == "other groups":
            loop.choose(NONE)
        elif state == "within a group":
            loop.choose(max(loop.menu.options, key=lambda o: len(o.text)).id)
    elif state == "after an undo":
        loop.key("w")
        loop.key("backspace")
    elif state == "after a pause":
        loop.command("pause")
        loop.choose("1")
        loop.command("resume")


STATES = ["start", "words", "refused", "half-typed", "typed a mark", "groups", "other groups", "within a group"]
STATES += ["after an undo", "after a pause"]


@pytest.mark.slow
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(("characters", "turn"), [(LATIN, "hello"), (CYRILLIC, "привет")])
def test_every_character_is_reached_from_any_state(monkeypatch, characters, turn, state):
    for letter in characters:
        loop = Loop(monkeypatch)
        drive(loop.generator, now=0, i_turn=EventFrame.of(Turn(text=turn).at(0)))
        if characters == CYRILLIC:
            loop.key("я")
            loop.key(" ")
        begin(loop, state)
        assert loop.seek(letter) <= 12


@pytest.mark.parametrize("k", [1, 2, 3, 8])
def test_every_character_is_reached_with_any_number_of_options(monkeypatch, k):
    loop = Loop(monkeypatch, k)
    for letter in LATIN if k > 1 else "ea ":
        loop.command("letters")
        loop.seek(letter)


def test_letters_become_the_typed_prefix(monkeypatch):
    loop = Loop(monkeypatch)
    loop.key("i")
    loop.key(" ")
    loop.command("letters")
    assert loop.menu.kind == "groups"
    loop.seek("w")
    assert loop.text["text"] == "i w" and loop.generator._request.half_typed
    assert all(("w" + o.text).startswith(("wo", "wa", "we", "wi", "wh")) for o in loop.menu.options)
    for _ in range(2):
        assert loop.menu.kind is None
        loop.choose(NONE)
    assert loop.menu.kind == "groups"
    loop.seek("q")
    assert loop.text["text"] == "i wq"


def test_the_model_foresees_what_will_be_asked(monkeypatch):
    """What is computed ahead is found only if the requests are equal to the last detail."""
    loop = Loop(monkeypatch)
    loop.key("w")
    loop.command("letters")
    process = loop.generator._process
    big = max(loop.menu.options, key=lambda o: len(o.text)).id
    for option in (NONE, NONE, "1", big, NONE, big, "2"):
        if loop.menu.kind is None:
            loop.command("letters")
        if option not in {o.id for o in loop.menu.options} | {NONE}:
            option = "1"
        ahead = dict(following(loop.generator._offered.shown))
        loop.choose(option)
        assert process.requests[-1] == ahead[option], option
    assert {"letters", "groups"} >= {m.kind for m in [loop.menu]} - {None}


def test_the_chosen_words_keep_the_capitals_and_the_foresight(monkeypatch):
    loop = Loop(monkeypatch)
    for key in "I am. ":
        loop.key(key)
    ahead = dict(following(loop.generator._offered.shown))
    option = loop.menu.options[0]
    loop.choose("1")
    assert loop.text["text"] == "I am. " + option.text[:1].upper() + option.text[1:]
    assert loop.generator._process.requests[-1] == ahead["1"]
