import threading

import pytest

from volition.core import LoadError
from volition.nodes.text import native
from volition.nodes.text.native import CancelFlag


def test_the_flag_is_shared_through_its_file(tmp_path):
    path = tmp_path / "flag"
    CancelFlag.create(path)
    one, other = CancelFlag(path), CancelFlag(path)
    assert not one and not other
    one.raise_()
    assert other
    other.lower()
    assert not one


def test_the_callback_tells_the_flag_without_the_interpreter():
    flag = CancelFlag()
    function, data = flag.callback()
    assert function(data) is False
    flag.raise_()
    assert function(data) is True
    flag.lower()
    assert function(data) is False


def test_a_missing_library_is_one_sentence(monkeypatch):
    import sys

    monkeypatch.setattr(native, "_loaded", [])
    monkeypatch.setitem(sys.modules, "llama_cpp.llama_cpp", None)
    with pytest.raises(LoadError, match="pip install llama-cpp-python"):
        native.library()


def test_two_threads_load_the_library_once(monkeypatch):
    native.library()
    found = []
    threads = [threading.Thread(target=lambda: found.append(native.library())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(api) for api in found}) == 1
