"""The journal of a graph."""

import pytest

from volition.core import SessionError
from volition.core.clock import SECOND
from volition.engine.journal import VERSION, Journal, read

ENTRIES = [[k * SECOND // 10, ["eeg", "o", k], ["gen", "results", 1]] for k in range(1, 30)]
HEADER = {"version": VERSION, "graph": "sense", "seed": 3}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.sense.journal"


@pytest.fixture
def written(path):
    journal = Journal(path, "sense", 3)
    for entry in ENTRIES:
        journal.add(entry)
    journal.close()
    journal.close()
    return path


def test_what_was_written_is_read(written):
    assert list(read(written)) == [HEADER, *ENTRIES]


def test_every_torn_tail_gives_what_was_whole(written):
    whole = written.read_bytes()
    expected = [HEADER, *ENTRIES]
    for cut in range(len(whole), len(whole) - 60, -1):
        written.write_bytes(whole[:cut])
        found = list(read(written))
        assert found == expected[: len(found)] and len(found) >= len(expected) - 4


def test_a_restarted_graph_goes_on_after_a_torn_tail(written):
    whole = written.read_bytes()
    written.write_bytes(whole[:-3])
    journal = Journal(written, "sense", 3)
    journal.add([5 * SECOND])
    journal.close()
    assert list(read(written)) == [HEADER, *ENTRIES[:-1], HEADER, [5 * SECOND]]


def test_a_killed_process_loses_a_second_at_most(path):
    journal = Journal(path, "sense", 3)
    for entry in ENTRIES:
        journal.add(entry)
    found = list(read(path))  # what another process would find now
    assert found[1:] == ENTRIES[: len(found) - 1]
    assert found[-1][0] >= ENTRIES[-1][0] - SECOND - SECOND // 10
    journal.close()


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(SessionError, match="cannot be written: No such file"):
        Journal(tmp_path / "no" / "x.journal", "g", 0)
