"""The errors of the framework, one tree.

    VolitionError
     ├─ LoadError      an app cannot be read or built (exit code 2)
     ├─ NodeError      a node was used wrongly, or failed while it ran
     ├─ FrameError     data that no port may carry
     ├─ StreamError    a live stream is missing, lost or not what was asked for
     ├─ DeviceError    a device or its driver does not answer
     ├─ BusError       an edge between graphs cannot be opened or trusted
     └─ SessionError   a recording cannot be written or read

Each message is one sentence: who, what was found, what was expected, what to do next.
"""

from __future__ import annotations


class VolitionError(Exception):
    """Base of all errors that a user can do something about."""

    exit_code = 1


class LoadError(VolitionError):
    """An app cannot be read or built."""

    exit_code = 2


class NodeError(VolitionError):
    """A node was used wrongly, or failed while it ran."""


class FrameError(VolitionError):
    """Data that no port may carry."""


class StreamError(VolitionError):
    """A live stream is missing, lost or not what was asked for."""


class DeviceError(VolitionError):
    """A device or its driver does not answer."""


class BusError(VolitionError):
    """An edge between graphs cannot be opened or trusted."""


class SessionError(VolitionError):
    """A recording cannot be written or read."""

    exit_code = 2
