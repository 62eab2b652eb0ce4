"""How an evaluation that was cut short makes itself known."""

from __future__ import annotations


class Cancelled(Exception):  # noqa: N818 - it is no error
    """The evaluation was cut short: a newer prompt has come, or the time is up."""
