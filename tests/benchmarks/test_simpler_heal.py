"""A model without its last blocks is healed: a LoRA that llama.cpp takes, made once."""

from __future__ import annotations

import random

import pytest

from benchmarks.simpler import heal
from benchmarks.simpler.cut import cut_model
from models import adapter
from tests.lab.tiny_gguf import tiny_model
from volition.core import LoadError
from volition.nodes.text.llama import LanguageModel
from volition.nodes.text.steering import Steering

for name in ("torch", "transformers", "peft", "gguf", "llama_cpp"):
    pytest.importorskip(name, reason=f"healing needs {name}; pip install 'volition[tune]'")

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning:transformers", "ignore::DeprecationWarning")


@pytest.fixture
def whole(tmp_path, monkeypatch):
    """A tiny model in place of SmolLM2, and text without end in place of the packed texts."""

    def endless(folder, languages, seed, lower):
        rng = random.Random(seed)
        while True:
            yield "".join("".join(rng.choices("abcdefgh ", k=rng.randint(3, 12))) + "\n" for _ in range(6))

    tqdm = pytest.importorskip("tqdm", reason="transformers needs it").tqdm
    path = tiny_model(tmp_path / "whole.gguf")
    monkeypatch.setattr(tqdm, "monitor_interval", 0)  # it would leave a thread behind
    monkeypatch.setattr(adapter, "documents", endless)
    monkeypatch.setattr(heal, "original_model", lambda name: path)
    monkeypatch.setattr(heal, "requantised", lambda source, folder: source)
    settings = adapter.Settings(rank=4, alpha=8.0, length=24, rows=2, frequent=40, sampled=16, warmup=1, rate=1e-2)
    monkeypatch.setattr(heal, "SETTINGS", settings)
    return path


@pytest.mark.slow
def test_a_healed_lora_acts_on_the_cut_model_and_stays(whole, tmp_path):
    out, said = tmp_path / "out", []
    heal.heal_all(tmp_path, out, [1], 2, said.append)
    assert [path.name for path in out.iterdir()] == ["healed-1.gguf"]
    assert said[-1].startswith("1 blocks, step 2 of 2: loss")
    model = LanguageModel(cut_model(whole, tmp_path / "cut.gguf", 1), threads=1)
    try:
        prompt = [model.tokenise("i am in")]
        before = model.prefill(prompt)
        model.steer(Steering.of([str(heal.healed_path(out, 1))]))
        assert abs(model.prefill(prompt) - before).max() > 1e-6
    finally:
        model.close()
    heal.heal_all(tmp_path, out, [1], 2, said.append)
    assert said[-1] == "healed-1.gguf is there already"


def test_too_many_blocks_are_refused(whole, tmp_path):
    with pytest.raises(LoadError, match="3 blocks cannot be kept of 2"):
        heal.heal_all(tmp_path, tmp_path / "out", [3], 2, print)
