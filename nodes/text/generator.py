"""The node that offers: menus of continuations from a language model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from operator import itemgetter
from typing import Annotated, Any

from volition.core import EventFrame, EventsIn, EventsOut, Node
from volition.core.events import Error, Menu, Option
from volition.core.params import Ge, Gt, Le, Unit
from volition.nodes.text.find import default_adapters
from volition.nodes.text.focus import Focus
from volition.nodes.text.learner import Learner, explore
from volition.nodes.text.letters import alphabet
from volition.nodes.text.process import ModelProcess
from volition.nodes.text.prompt import EVERYDAY
from volition.nodes.text.proposals import Limits
from volition.nodes.text.proposer import FALLBACK, Settings
from volition.nodes.text.recall import Recall
from volition.nodes.text.requests import Offered, Proposals, Request, pack, unpack_proposals
from volition.nodes.text.steering import Steering

_TURNS = 8


class Generator(Node):
    """Menus of 3 to 5 continuations of the text, from a small local language model.

    Each text asks for a menu; the model works in a process of its own, and the menu carries the time at which
    it came back. A newer text cuts the work on an older one short. A text with the reason ``none`` (nothing
    fits) refuses what was offered: other options follow until the text changes. While the person chooses,
    the menus that may come next are computed ahead, in the order of the posterior.

    A menu is there by the deadline: with what the search has found by then and words of a small table in the
    places that are left (``late``), or from the table alone, where the model is missing or its process has
    died (``model`` is then ``fallback``, an ``error`` is reported, and ``fallbacks`` counts them). A process
    that died is started again.

    With a ``memory``, lines of it that fit the text, the conversation and the focus stand in the prompt, from the
    menu after the one they were found for; a sentence that was finished is remembered.

    A text that says ``offer: letters`` gets a menu of letters by their probability, or of groups of them (``kind`` says
    which), so that few selections lead to the likely ones; ``group`` opens one.

    With a ``profile``, what the person takes and writes shapes later menus: each answer to a menu goes into its log,
    and a finished sentence is learned from; a choice that was undone is not. A profile has a memory of its own. Now
    and then (``explore``) the last place of a menu goes to a less likely word, which keeps the log fit for comparisons.

    ``focus`` events shift what is offered towards words that the person attends to, for a while; a ``steer``
    event changes adapters, control vector and biases.
    """

    i_text = EventsIn("text")
    i_turn = EventsIn("turn", optional=True)
    i_posterior = EventsIn("posterior", optional=True)
    i_focus = EventsIn("focus", optional=True)
    i_steer = EventsIn("steer", optional=True)
    o = EventsOut("menu")

    chunk_dependent = "texts that come in one tick are answered once, for the newest"
    journals_results = True

    def __init__(
        self,
        model: str = "smollm2-135m",
        options: Annotated[int, Ge(1), Le(8)] = 5,
        words: Annotated[int, Ge(1), Le(8)] = 3,
        grow: Annotated[float, Gt(0), Le(1)] = 0.5,
        threads: Annotated[int, Ge(0)] = 0,
        deadline: Annotated[float, Unit("s"), Ge(0)] = 0.0,
        banned: list[str] | None = None,
        steer: dict[str, dict[str, float]] | None = None,
        memory: str = "",
        frame: str = EVERYDAY.name,
        profile: str = "",
        explore: Annotated[float, Ge(0), Le(1)] = 0.05,
    ):
        """model: a .gguf file, the name of a model that is known, or "table" for a small table of words.
        options: how many to offer.
        words: most words of an option.
        grow: an option takes its next word along while that is likelier than this; 1 for single words.
        threads: of the language model; 0 for a number that suits the machine.
        deadline: a menu is there by then; 0 for the larger of 0.15 s and 1.5 times a cached menu.
        banned: words that are never offered.
        steer: adapters and control, each {file: scale}, and bias, {word: nats}; without adapters, the model's own.
        memory: a file of remembered lines, or "own" for this account's (see ``volition memory``); none when empty.
        frame: everyday, everyday-ru, none, or a text file with a line or more to begin the prompt with.
        profile: whose choices are learned from: "own" for this account, or a name; nobody's when empty.
        explore: with a profile, the probability that the last place shows a less likely word; 0 for never.
        """
        limits = Limits(options, words, grow, banned=tuple(banned or ()))
        self._place = memory
        self._recall: Recall | None = None
        self._finished = ""
        self._person = profile
        self._explore = explore if profile else 0.0
        self._learner: Learner | None = None
        self._deadline = deadline
        self._process: ModelProcess | None = None
        self._offered = Offered()
        self._request = Request(steering=steering_of({"adapters": default_adapters(model), **(steer or {})}))
        self._settings = Settings(model, limits, threads, frame=frame, steering=self._request.steering)
        self._focus = Focus()
        self._ready: Proposals | None = None
        self._owed = False
        self._menu = 0
        self._order: list[str] = []
        self._problem = ""
        self.fallbacks = 0

    def start(self) -> None:
        live = self.engine_driven and not self.virtual
        if self._person and not self.muted:
            self._learner = Learner(self._person)
            for sentence in self._learner.profile.problems:
                self.report(Error(source=self.id, message=f"profile {self._person!r}: {sentence}"))
            self._place = self._place or str(self._learner.profile.memory_file)
        if self._place and not self.muted:
            self._recall = Recall(self._place)
        self._process = ModelProcess(self._settings, self._deadline if live else None, ahead=live)
        self._teach()
        self._ask()

    def update(self) -> None:
        self._listen()
        self._collect()
        if self._owed and not self.busy:
            self._ask()
            self._collect()
        if self._finished and self._recall is not None:
            self._recall.keep(self._finished)
        self._finished = ""
        if self._learner is not None:
            self._learner.flush()
            if self._learner.trouble:
                self.report(Error(source=self.id, message=f"profile {self._person!r}: {self._learner.trouble}"))
                self._learner.trouble = ""

    def terminate(self) -> None:
        if self._learner is not None:
            self._learner.close()
            self._learner = None
        if self._process is not None:
            self._process.close()

    def pack_result(self, result: Proposals) -> dict[str, Any]:
        """An answer as it is kept in the journal."""
        return pack(result)

    def unpack_result(self, packed: Mapping[str, Any]) -> Proposals:
        """An answer from the journal."""
        return unpack_proposals(packed)

    def _listen(self) -> None:
        events = sorted(
            [*self.i_steer, *self.i_focus, *self.i_posterior, *self.i_turn, *self.i_text], key=itemgetter(0)
        )
        before = self._request
        for time, label, data in events:
            if label == "posterior" and data["menu"] == self._menu:
                self._offered.hear(data.get("sources", {}))
                self._prefer(data["p"])
            elif label == "focus":
                self._focus.look(data["words"], time)
            elif label == "steer":
                self._request = replace(self._request, steering=steered(self._request.steering, data))
            elif label == "turn":
                turns = (*self._request.turns, data["text"])[-_TURNS:]
                self._request = replace(self._request, turns=turns)
                self._owed = self._owed or self._menu > 0
            elif label == "text":
                self._write(data, time)
        if self._recall is not None and self._request != before:
            self._request = replace(self._request, recalled=self._recall(self._request))
        if self._owed and self.busy and self._request != before and self._process is not None:
            self._process.cut()

    def _write(self, data: Mapping[str, Any], time: int) -> None:
        text, reason = data["text"], data.get("reason", "")
        if reason == "cleared":
            self._finished = self._request.text
        if self._learner is not None:
            self._learner.hear(text, reason, time, self._offered.log_v)
        letters = ""
        if data.get("offer"):
            letters = alphabet(text, self._request.turns, self._settings.frame)
        request = self._offered.after(self._request, text, reason, letters, data.get("group") or "")
        self._request = replace(request, focus=self._focus.at(time))
        self._teach()
        self._owed = True

    def _teach(self) -> None:
        """Let the next menus draw on what was learned."""
        learner = self._learner
        if learner is not None and self._process is not None and learner.version != self._request.learned:
            self._process.teach(learner.version, learner.lesson(self._request.learned))
            self._request = replace(self._request, learned=learner.version)

    def _prefer(self, p: Mapping[str, float]) -> None:
        order = sorted(p, key=lambda option: -p[option])
        if order[:2] != self._order[:2] and self._process is not None:
            self._process.prefer(order)
        self._order = order

    def _ask(self) -> None:
        if self._process is not None:
            self.submit(self._process.ask, self._request)

    def _collect(self) -> None:
        for result in self.results():
            self._ready = result
        # A replay has no memory: there the journal's answer says what was remembered.
        if self._owed and self._ready is not None and self._ready.request.same_menu(self._request):
            self._emit(self._ready)

    def _emit(self, proposals: Proposals) -> None:
        self._owed = False
        self._ready = None
        self._menu += 1
        self._order = []
        if proposals.kind is None:  # nothing is learned from how letters are grouped
            proposals, propensities = explore(proposals, self._explore, self.rng)
            if self._learner is not None:
                self._learner.show(proposals, propensities)
        self._offered.show(proposals)
        self._complain(proposals)
        options = [
            Option(
                id=str(n),
                text=o.text,
                log_probability=o.log_probability,
                tokens=list(o.tokens),
                why=dict(o.why),
            )
            for n, o in enumerate(proposals.options, 1)
        ]
        menu = Menu(
            kind=proposals.kind,
            menu=self._menu,
            context=proposals.request.text,
            options=options,
            p_none=proposals.p_none,
            covered_mass=min(1.0, proposals.covered_mass),
            model=proposals.model,
            late=not proposals.complete,
        )
        self.o = EventFrame.of(menu.at(self.now))

    def _complain(self, proposals: Proposals) -> None:
        if proposals.model == FALLBACK:
            self.fallbacks += 1
            if proposals.problem != self._problem:
                self.report(Error(source=self.id, message=f"{proposals.problem}; options come from a small table"))
        self._problem = proposals.problem if proposals.model == FALLBACK else ""
        if self._process is not None:
            idle, self._process.idle = self._process.idle, []
            for sentence in idle:
                self.report(Error(source=self.id, message=sentence))


def steering_of(data: Mapping[str, Mapping[str, float]]) -> Steering:
    """A steering from {adapters: {file: scale}, control: {file: scale}, bias: {word: nats}}.

    Raises
    ------
    LoadError
        When there is more than one control vector.
    """
    return Steering.of(data.get("adapters", {}), data.get("control"), data.get("bias"))


def steered(steering: Steering, data: Mapping[str, Any]) -> Steering:
    """A steering after a ``steer`` event: what the event leaves out stays, what it gives empty is taken away."""
    given = steering_of({key: value for key, value in data.items() if value is not None})
    return Steering(
        given.adapters if data.get("adapters") is not None else steering.adapters,
        given.control if data.get("control") is not None else steering.control,
        given.bias if data.get("bias") is not None else steering.bias,
    )
