import io
import math

import msgpack
import pytest

from volition.core import NodeError
from volition.nodes.text import server as module
from volition.nodes.text.cancel import Cancelled
from volition.nodes.text.native import CancelFlag
from volition.nodes.text.proposals import Proposal
from volition.nodes.text.proposer import Settings
from volition.nodes.text.requests import Proposals, Request, accepted, pack, rejected, unpack_proposals
from volition.nodes.text.server import _END, Ahead, Server


class Scripted:
    """Answers any request with the same two options."""

    def __init__(self, *_):
        self.asked = []
        self.idle = []
        self.cancel = False
        self.model = type("M", (), {"threads": 1})

    def warm_up(self):
        return 1.5

    def __call__(self, request):
        self.asked.append(request)
        if self.cancel:
            raise Cancelled
        if request.text == "bad":
            raise NodeError("too long")
        options = tuple(Proposal(f" {word}", math.log(p)) for word, p in [("am", 0.5), ("will", 0.2)])
        return Proposals(request, options, 0.3, 0.7, "scripted", complete=request.text != "cut")

    def close(self):
        self.asked.append(None)


@pytest.fixture
def flag():
    return CancelFlag()


@pytest.fixture
def proposer():
    return Scripted()


def test_what_may_follow_is_answered_in_the_order_of_the_posterior(proposer, flag):
    ahead = Ahead(proposer, flag)
    shown = proposer(Request("i"))
    ahead.show(shown)
    ahead.prefer(["none", "2"])
    while ahead.step():
        pass
    following = [rejected(shown), accepted(shown.request, " will"), accepted(shown.request, " am")]
    assert proposer.asked[1:] == following
    assert all(ahead.known(request).request == request for request in (shown.request, *following))
    ahead.show(shown)
    assert not ahead.step()  # all of it is known


def test_a_raised_flag_ends_looking_ahead(proposer, flag):
    ahead = Ahead(proposer, flag)
    ahead.show(proposer(Request("i")))
    flag.raise_()
    assert not ahead.step()
    flag.lower()
    proposer.cancel = True
    assert ahead.step()  # cut short in the middle: nothing is kept
    assert ahead.known(accepted(Request("i"), " am")) is None


def test_answers_that_were_cut_short_are_not_kept(proposer, flag):
    ahead = Ahead(proposer, flag)
    ahead.show(proposer(Request("cut")))
    assert ahead.known(Request("cut")) is None


def serve(monkeypatch, proposer, messages, ahead=True):
    monkeypatch.setattr(module, "Proposer", lambda *_: proposer)
    output = io.BytesIO()
    server = Server(output, CancelFlag())
    settings = {"model": "scripted", "threads": 0, "context": 100, "frame": ""}
    for message in [{"settings": settings, "ahead": ahead}, *messages, _END]:
        server._inbox.put(message)
    code = server.run()
    output.seek(0)
    return code, list(msgpack.Unpacker(output))


def test_messages_are_answered_in_turn(monkeypatch, proposer):
    asked = [{"id": n, "request": pack(Request(text))} for n, text in enumerate(["i", "bad", "i"])]
    code, [ready, first, problem, again] = serve(monkeypatch, proposer, [*asked[:1], {"order": ["2"]}, *asked[1:]])
    assert code == 0
    assert ready == {"ready": {"cached_ms": 1.5, "threads": 1}}
    assert unpack_proposals(first["answer"]).request == Request("i")
    assert (first["id"], first["ahead"]) == (0, False)
    assert problem == {"id": 1, "problem": "too long"}
    assert (again["id"], again["ahead"], again["answer"]) == (2, True, first["answer"])


def test_a_model_that_cannot_be_loaded_is_a_sentence(monkeypatch):
    output = io.BytesIO()
    server = Server(output, CancelFlag())
    server._inbox.put({"settings": {"model": "no/such.gguf"}, "ahead": False})
    assert server.run() == 1
    [message] = msgpack.unpackb(output.getvalue()).items()
    assert message[0] == "failed" and "no such file" in message[1]
    assert Settings("x").threads == 0


def test_nothing_at_all_ends_quietly():
    server = Server(io.BytesIO(), CancelFlag())
    server._inbox.put(_END)
    assert server.run() == 0
