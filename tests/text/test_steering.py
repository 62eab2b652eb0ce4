import numpy as np
import pytest

from models.lora_gguf import MODULES, write_lora
from tests.lab.tiny_gguf import HEADS, INNER, LAYERS, WIDTH, tiny_model
from volition.core import LoadError
from volition.nodes.text.llama import LanguageModel
from volition.nodes.text.steering import Steering, control_vector, prove

gguf = pytest.importorskip("gguf", reason="gguf is not installed")
pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")

PROMPT = [[10, 20, 30, 40], [5], [6]]
OUTPUTS = {"k_proj": WIDTH // HEADS, "v_proj": WIDTH // HEADS, "gate_proj": INNER, "up_proj": INNER}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("steering")
    tiny_model(folder / "base.gguf")
    lora(folder / "warm.gguf", 1)
    lora(folder / "cold.gguf", 2)
    lora(folder / "nothing.gguf", 1, size=0.0)
    control(folder / "up.gguf", np.full((LAYERS - 1, WIDTH), 0.5))
    control(folder / "zero.gguf", np.zeros((LAYERS - 1, WIDTH)))
    control(folder / "wide.gguf", np.ones((LAYERS - 1, WIDTH + 1)))
    return folder


@pytest.fixture
def model(folder):
    model = LanguageModel(folder / "base.gguf", threads=1, context=64)
    yield model
    model.close()


def lora(path, seed, size=0.3):
    rng = np.random.default_rng(seed)
    tensors = {}
    for block in range(LAYERS):
        for module in MODULES:
            last = module.split(".")[1]
            a = size * rng.normal(size=(4, INNER if last == "down_proj" else WIDTH))
            b = size * rng.normal(size=(OUTPUTS.get(last, WIDTH), 4))
            tensors[f"{block}.{module}"] = (a, b)
    write_lora(path, tensors, 4.0, HEADS, 1, "tiny", exact=True)


def control(path, rows):
    writer = gguf.GGUFWriter(path, "controlvector")
    for n, row in enumerate(rows, 1):
        writer.add_tensor(f"direction.{n}", row.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def row(model, steering=None):
    if steering is not None:
        model.steer(steering)
    return model.prefill(PROMPT)


def adapters(folder, **scales):
    return Steering(adapters=tuple((str(folder / f"{name}.gguf"), scale) for name, scale in scales.items()))


def test_adapters_act_by_their_scale_and_leave_no_trace(model, folder):
    base = row(model).copy()
    full, half = (row(model, adapters(folder, warm=s)).copy() for s in (1.0, 0.5))
    both = row(model, adapters(folder, warm=1.0, cold=1.0)).copy()
    distances = [np.abs(other - base).max() for other in (half, full, both)]
    assert distances[0] > 0.01
    assert len({round(float(d), 4) for d in distances}) == 3
    np.testing.assert_array_equal(row(model, adapters(folder, warm=0.0)), base)
    np.testing.assert_array_equal(row(model, adapters(folder, warm=1.0)), full)
    np.testing.assert_array_equal(row(model, Steering()), base)


def test_a_prompt_cached_under_other_weights_is_not_used(model, folder):
    row(model)
    model.steer(adapters(folder, warm=1.0))
    fresh = LanguageModel(folder / "base.gguf", threads=1, context=64)
    fresh.steer(adapters(folder, warm=1.0))
    np.testing.assert_array_equal(model.prefill(PROMPT), fresh.prefill(PROMPT))
    fresh.close()


def test_a_control_vector_acts_by_its_scale_and_leaves_no_trace(model, folder):
    base = row(model).copy()
    up, down = (row(model, Steering(control=(str(folder / "up.gguf"), s))).copy() for s in (1.0, -1.0))
    assert np.abs(up - base).max() > 0.01
    assert np.abs(up - down).max() > 0.01
    np.testing.assert_array_equal(row(model, Steering()), base)


def test_what_changes_nothing_is_named(model, folder):
    assert prove(model, adapters(folder, warm=1.0)) == []
    assert prove(model, Steering(control=(str(folder / "up.gguf"), 1.0))) == []
    idle = prove(
        model,
        Steering(
            adapters=((str(folder / "warm.gguf"), 1.0), (str(folder / "nothing.gguf"), 1.0)),
            control=(str(folder / "zero.gguf"), 1.0),
        ),
    )
    assert len(idle) == 2
    assert "nothing.gguf changes nothing" in idle[0] and "zero.gguf changes nothing" in idle[1]
    assert model.steering.adapters[0][0].endswith("warm.gguf")  # and it is in force


def test_files_that_do_not_fit_are_one_sentence_and_change_nothing(model, folder, tmp_path):
    base = row(model).copy()
    (tmp_path / "text.gguf").write_text("no adapter at all, but long enough to be read")
    wrong = [
        (Steering(adapters=(("no/such.gguf", 1.0),)), "no such file"),
        (Steering(adapters=((str(tmp_path / "text.gguf"), 1.0),)), "does not fit the model"),
        (Steering(adapters=((str(folder / "base.gguf"), 1.0),)), "does not fit the model"),
        (Steering(control=("no/such.gguf", 1.0)), "no such file"),
        (Steering(control=(str(tmp_path / "text.gguf"), 1.0)), "cannot be read"),
        (Steering(control=(str(folder / "base.gguf"), 1.0)), "direction.1"),
        (Steering(control=(str(folder / "wide.gguf"), 1.0)), r"shape \(1, 65\).*\(1, 64\)"),
    ]
    for steering, sentence in wrong:
        with pytest.raises(LoadError, match=sentence):
            model.steer(steering)
        assert model.steering == Steering()
    np.testing.assert_array_equal(row(model), base)


def test_control_vectors_are_read_row_by_row(folder):
    np.testing.assert_array_equal(control_vector(str(folder / "up.gguf")), np.full((1, WIDTH), 0.5, dtype=np.float32))


def test_what_yaml_says():
    assert Steering.of(["a.gguf"], {"v.gguf": -1}, {"please": 2}) == Steering(
        (("a.gguf", 1.0),), ("v.gguf", -1.0), (("please", 2.0),)
    )
    assert Steering.of() == Steering()
    with pytest.raises(LoadError, match="one control vector at a time"):
        Steering.of(control={"a": 1.0, "b": 1.0})
