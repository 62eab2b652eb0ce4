"""Recordings: writing, reading and importing them, and the manifest beside each."""

from volition.sessions.manifest import new_manifest, read_manifest, update_manifest, write_manifest
from volition.sessions.reader import RecordedStream, Session
from volition.sessions.writer import SessionWriter
from volition.sessions.xdf import XdfWriter

__all__ = [
    "RecordedStream",
    "Session",
    "SessionWriter",
    "XdfWriter",
    "new_manifest",
    "read_manifest",
    "update_manifest",
    "write_manifest",
]
