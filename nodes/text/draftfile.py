"""What is being written, on disk: a crash of the program or of the machine loses none of it."""

from __future__ import annotations

from pathlib import Path

from volition.nodes.text.draft import shared
from volition.nodes.text.linefile import LineFile
from volition.nodes.text.memory import own_file

OWN = "own"
"""Names the draft of this account, which lies beside its memory."""


def draft_path(place: str) -> Path:
    """Where a draft lies that is called by its file, or ``own``."""
    return own_file().with_name("draft.jsonl") if place == OWN else Path(place).expanduser()


class DraftFile:
    """The steps of a text, a line each: from ``kept`` on, the text became ``text``.

    Parameters
    ----------
    path
        The file; made with the first line.
    """

    def __init__(self, path: Path):
        self._file = LineFile(path, "draft")
        self._text: str | None = ""  # what the file says; None when that is not known

    def read(self) -> str:
        """The text as it was last; a torn line is passed over. The steps to it are forgotten.

        Raises
        ------
        LoadError, NodeError
            When the file is there and cannot be read, or not written.
        """
        text = ""
        for line in self._file.read():
            kept = line.get("kept", "")
            text = text[: int(kept) if kept.isdecimal() else 0] + line["text"]
        if self._file.path.exists():
            with self._file.alone():
                self._file.rewrite([{"text": text}] if text else [])
        self._text = text
        return text

    def keep(self, text: str) -> None:
        """Write what changed; it is on the disk when this comes back. Of an empty text, nothing stays in the file.

        Raises
        ------
        NodeError
            When the file cannot be written; all of it is written with the next change.
        """
        before = self._text
        if text == before:
            return
        kept = shared(before or "", text)
        self._text = None
        with self._file.alone():
            if text:
                self._file.append([{"text": text[kept:], "kept": str(kept)}])
            else:
                self._file.rewrite([])
        self._text = text
