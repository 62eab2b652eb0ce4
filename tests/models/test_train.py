import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed")

from models import train  # noqa: E402 - nothing of it can be imported without torch
from models.loss import loss_of  # noqa: E402
from models.network import Network, Shape  # noqa: E402
from models.precision import quick_dtype  # noqa: E402
from volition.core import LoadError  # noqa: E402

TEXTS = ["i would like a cup of tea please\nno thanks\n", "Я хочу домой, пожалуйста. Ёлка!\n"]
TINY = {"vocabulary": 320, "width": 32, "heads": 1, "kv_heads": 1, "head_width": 32, "inner": 32}


@pytest.fixture(scope="module")
def tokeniser():
    return train.train_tokeniser([text for text in TEXTS for _ in range(20)], 320)


@pytest.fixture(scope="module")
def network():
    network = Network(Shape(**TINY, layers=2))
    network.initialise(seed=5)
    return network


@pytest.fixture
def out(tmp_path, monkeypatch, tokeniser):
    """A folder with the tokeniser and the tokens of a few small steps."""
    monkeypatch.setattr(train, "BATCH", 1024)
    monkeypatch.setattr(train, "SHARD", 16)
    tokeniser.save(str(tmp_path / "tokenizer.json"))
    tokens = np.random.default_rng(0).integers(0, 320, 16 * 1024 + 1).astype(np.uint16)
    np.save(tmp_path / "shard-0000.npy", tokens)
    return tmp_path


def begin(out, layers):
    return train.Run(out, out, {**TINY, "layers": layers}, compiled=False)


def weights(run):
    return {name: weight.clone() for name, weight in run.network.state_dict().items()}


def test_a_resumed_run_is_the_run_that_went_on(out):
    run = begin(out, 2)
    for _ in range(2):
        run.learn(512)
    run.save()
    losses = [run.learn(512) for _ in range(3)]
    again = begin(out, 2)
    again.load()
    assert again.step == 2
    assert [again.learn(512) for _ in range(3)] == losses
    for name, weight in weights(run).items():
        assert torch.equal(weights(again)[name], weight), name


def test_a_model_grows_without_a_change_of_what_it_says(out):
    run = begin(out, 2)
    for _ in range(3):
        run.learn(1024)
    run.save()
    grown = begin(out, 4)
    grown.load()
    ids = torch.arange(60).reshape(2, 30)
    with torch.no_grad():
        torch.testing.assert_close(grown.network(ids), run.network(ids), atol=1e-5, rtol=1e-5)
    before = weights(grown)
    grown.learn(1024)
    assert all(not torch.equal(weights(grown)[name], weight) for name, weight in before.items() if weight.ndim == 2)


def test_learning_lowers_the_loss(out, monkeypatch):
    monkeypatch.setattr(train, "WARM_UP", 1)
    tokens = np.load(out / "shard-0000.npy")
    np.save(out / "shard-0000.npy", np.tile(tokens[:200], 100)[: len(tokens)])
    run = begin(out, 1)
    losses = [run.learn(1024) for _ in range(16)]
    assert losses[0] == pytest.approx(math.log(320), abs=0.2)
    assert losses[-1] < losses[0] - 0.5


def test_a_step_learns_from_its_own_tokens(out):
    run = begin(out, 1)
    tokens = np.load(out / "shard-0000.npy").astype(int)
    for step, shape in ((0, (1, 1025)), (1, (4, 257)), (3, (4, 257)), (8, (1, 1025))):
        run.step = step
        batch = run.batch()
        assert tuple(batch.shape) == shape
        assert batch[:, 1:].flatten().tolist() == tokens[step * 1024 + 1 : (step + 1) * 1024 + 1].tolist()


def test_going_on_from_nothing_is_said(out):
    with pytest.raises(LoadError, match="--resume"):
        begin(out, 1).load()


def test_the_loss_and_its_gradients_are_those_of_torch():
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(3, 400, 16, generator=generator).requires_grad_()
    weight = torch.randn(50, 16, generator=generator).requires_grad_()
    targets = torch.randint(0, 50, (3, 400), generator=generator)
    expected = torch.nn.functional.cross_entropy((hidden @ weight.T).flatten(0, 1), targets.flatten())
    expected_gradients = torch.autograd.grad(3 * expected, [hidden, weight])
    loss = loss_of(hidden, weight, targets)
    torch.testing.assert_close(loss, expected)
    for ours, theirs in zip(torch.autograd.grad(3 * loss, [hidden, weight]), expected_gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-4)


def test_the_loss_in_bfloat16_is_nearly_that_in_float32():
    generator = torch.Generator().manual_seed(3)
    hidden = torch.randn(2, 300, 16, generator=generator).bfloat16().requires_grad_()
    weight = torch.randn(50, 16, generator=generator).bfloat16().requires_grad_()
    targets = torch.randint(0, 50, (2, 300), generator=generator)
    exact = [value.detach().float().requires_grad_() for value in (hidden, weight)]
    loss, expected = loss_of(hidden, weight, targets), loss_of(*exact, targets)
    assert loss.dtype is torch.float32
    torch.testing.assert_close(loss, expected, atol=0.02, rtol=0.0)
    gradients = torch.autograd.grad(loss, [hidden, weight]), torch.autograd.grad(expected, exact)
    for ours, theirs in zip(*gradients, strict=True):
        assert ours.dtype is torch.bfloat16
        assert torch.nn.functional.cosine_similarity(ours.float().flatten(), theirs.flatten(), 0) > 0.99


def test_the_quicker_precision_is_found():
    assert quick_dtype() in (torch.float32, torch.bfloat16)


def test_updates_are_made_orthogonal():
    generator = torch.Generator().manual_seed(2)
    matrix = torch.randn(24, 60, generator=generator)
    for x in (matrix, matrix.T):
        updates = train.orthogonal(x)
        assert updates.shape == x.shape
        values = torch.linalg.svdvals(updates)
        assert values.min() > 0.5
        assert values.max() < 1.3


def test_the_rate_warms_up_stays_and_decays_to_nothing():
    assert train.rate_at(0, None) == pytest.approx(1 / train.WARM_UP)
    assert train.rate_at(5000, None) == 1
    decay = train.Decay(5000, 100)
    assert [train.rate_at(step, decay) for step in (5000, 5050, 5100)] == pytest.approx([1, 0.5, 0])
    lower = train.Decay(5000, 100, peak=0.4)
    assert [train.rate_at(step, lower) for step in (5000, 5050, 5100)] == pytest.approx([0.4, 0.2, 0])


def test_bits_a_character_is_the_sum_over_the_phrase_alone(network, tokeniser):
    frame, phrases = "i would\n", ["like a cup", "я хочу домой", "tea"]
    bits = 0.0
    for phrase in phrases:
        before, ids = tokeniser.encode(train.END + frame).ids, tokeniser.encode(phrase).ids
        with torch.no_grad():
            logits = network.logits(network(torch.tensor([before + ids])))[0]
        logp = torch.log_softmax(logits, -1)
        bits -= sum(float(logp[len(before) - 1 + n, token]) for n, token in enumerate(ids)) / math.log(2)
    expected = bits / sum(map(len, phrases))
    assert train.bits_per_character(network, tokeniser, frame, phrases) == pytest.approx(expected, rel=1e-5)
