import math
from dataclasses import replace

import pytest

from volition.nodes.text.mask import Candidate
from volition.nodes.text.proposals import Proposal
from volition.nodes.text.requests import (
    Offered,
    Proposals,
    Request,
    accepted,
    following,
    pack,
    rejected,
    unpack_proposals,
    unpack_request,
)
from volition.nodes.text.steering import Steering

STEERING = Steering(adapters=(("a.gguf", 0.5),), control=("c.gguf", -1.0), bias=(("please", 1.5),))
ASKED = Request(
    "i",
    turns=("how are you",),
    refused=(" was",),
    candidates=(Candidate((7, 8), (-1.0, -2.0), -math.inf),),
    memory=("i am fine",),
    recalled=("i was fine",),
    focus=(("garden", 0.75),),
    steering=STEERING,
)


def shown(request=ASKED):
    options = tuple(
        Proposal(f" {word}", math.log(p), (n, n + 10), (math.log(p), 0.0))
        for n, (word, p) in enumerate([("am", 0.5), ("will", 0.2)])
    )
    return Proposals(request, options, 0.3, 0.7, "scripted")


def test_requests_and_answers_survive_packing():
    import msgpack

    def through(value):
        return msgpack.unpackb(msgpack.packb(pack(value)))

    assert unpack_request(through(ASKED)) == ASKED
    assert unpack_proposals(through(shown())) == shown()


def test_what_follows_is_what_the_generator_will_ask():
    """Answers computed ahead are found only if the requests are equal to the last detail."""
    ahead = dict(following(shown()))
    assert list(ahead) == ["1", "2", "none"]
    for option, text, reason in [("1", "i am", "choice"), ("2", "i will", "choice"), ("none", "i", "none")]:
        offered = Offered()
        offered.show(shown())
        offered.hear({"gaze": {"1": 2.0, "2": -1.0}})
        assert offered.after(ASKED, text, reason) == ahead[option]


def test_an_accepted_option_leaves_no_refusals_and_keeps_the_rest():
    after = accepted(ASKED, " am")
    assert after == replace(ASKED, text="i am", refused=(), candidates=(), memory=ASKED.recalled)


def test_rejected_options_are_evidence_of_the_hardest_kind():
    after = rejected(shown())
    assert after.refused == (" was", " am", " will")
    assert [c.tokens for c in after.candidates] == [(7, 8), (0, 10), (1, 11)]
    assert all(c.log_v == -math.inf for c in after.candidates)
    many = after
    for _ in range(50):
        many = rejected(shown(many))
    assert len(many.refused) == len(many.candidates) == 40


@pytest.mark.parametrize("steering", [Steering(), STEERING])
def test_only_weights_decide_whether_a_cached_prompt_holds(steering):
    assert replace(steering, bias=(("x", 1.0),)).weights == steering.weights
    assert replace(steering, adapters=(("b.gguf", 1.0),)).weights != steering.weights
    assert Steering(adapters=(("b.gguf", 0.0),)).weights == Steering().weights
