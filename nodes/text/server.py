"""The language model in a process of its own: ``python -m volition.nodes.text.server FLAG``.

A crash in native code takes this process and nothing else. Messages are msgpack maps on standard input and
output. In:

- ``{settings}`` opens the model, first of all
- ``{id, request}`` asks for options; with ``timed``, also how long they take cold and cached
- ``{version, lesson}`` is what was learned from the person, for the requests that name this version
- ``{order}`` says which options of the last answer are likeliest to be taken, best first

Out: ``{ready: card}`` or ``{failed: sentence}``, then ``{id, answer}`` or ``{id, problem}``.

Between requests the answers to those that may come next are computed ahead; the flag cuts that short.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections import OrderedDict
from dataclasses import replace
from typing import Any, BinaryIO

import msgpack
from pydantic import TypeAdapter

from volition.core import LoadError, NodeError
from volition.nodes.text.cancel import Cancelled
from volition.nodes.text.native import CancelFlag
from volition.nodes.text.proposer import Proposer, Settings
from volition.nodes.text.requests import Proposals, Request, following, pack, unpack_request

_SETTINGS = TypeAdapter(Settings)
_AHEAD = 64
"""Answers kept for requests that may come."""

_END = object()


class Ahead:
    """Answers to requests that have not come yet.

    Parameters
    ----------
    proposer
        Makes them.
    flag
        Raised when a request has come.
    """

    def __init__(self, proposer: Proposer, flag: CancelFlag):
        self._proposer = proposer
        self._flag = flag
        self._answers: OrderedDict[Request, Proposals] = OrderedDict()
        self._waiting: dict[str, Request] = {}

    def known(self, request: Request) -> Proposals | None:
        """The answer, if it was computed ahead."""
        return self._answers.get(request)

    def show(self, shown: Proposals) -> None:
        """An answer was given; what may follow it is computed next, in its order."""
        self._keep(shown)
        self._waiting = {option: request for option, request in following(shown) if request not in self._answers}

    def prefer(self, order: list[str]) -> None:
        """Go on with these options first."""
        first = {option: self._waiting[option] for option in order if option in self._waiting}
        self._waiting = {**first, **self._waiting}

    def step(self) -> bool:
        """Compute one answer; whether there was one to compute."""
        if not self._waiting or self._flag:
            return False
        option = next(iter(self._waiting))
        try:
            answer = self._proposer(self._waiting[option])
        except (Cancelled, LoadError, NodeError):
            answer = None
        if answer is not None and answer.complete:
            self._keep(answer)
        self._waiting.pop(option)
        return True

    def _keep(self, answer: Proposals) -> None:
        if answer.complete:
            self._answers[answer.request] = answer
            self._answers.move_to_end(answer.request)
            if len(self._answers) > _AHEAD:
                self._answers.popitem(last=False)


class Server:
    """Takes messages and answers them.

    Parameters
    ----------
    output
        Where answers go.
    flag
        Cuts work short.
    """

    def __init__(self, output: BinaryIO, flag: CancelFlag):
        self._output = output
        self._flag = flag
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def listen(self, source: Any) -> None:
        """Read messages until the end; runs in a thread of its own."""
        for message in msgpack.Unpacker(source, raw=False):
            self._inbox.put(message)
        self._inbox.put(_END)

    def run(self) -> int:
        """Serve until the input ends; the exit code."""
        opening = self._inbox.get()
        if opening is _END:
            return 0
        try:
            proposer = Proposer(_SETTINGS.validate_python(opening["settings"]), self._flag)
            cached = proposer.warm_up()
        except (LoadError, NodeError) as error:
            self._say({"failed": str(error)})
            return 1
        self._say({"ready": {"cached_ms": cached, "threads": proposer.model.threads}})
        ahead = Ahead(proposer, self._flag) if opening["ahead"] else None
        while (message := self._next(ahead)) is not _END:
            if "order" in message:
                if ahead is not None:
                    ahead.prefer(message["order"])
            elif "lesson" in message:
                proposer.learn(message["version"], msgpack.unpackb(message["lesson"]))
            else:
                self._answer(proposer, ahead, message)
        proposer.close()
        return 0

    def _next(self, ahead: Ahead | None) -> Any:
        """The next message; until it comes, answers are computed ahead."""
        while ahead is not None and self._inbox.empty():
            if not ahead.step():
                break
        return self._inbox.get()

    def _answer(self, proposer: Proposer, ahead: Ahead | None, message: Any) -> None:
        self._flag.lower()
        request = unpack_request(message["request"])
        known = ahead.known(request) if ahead is not None else None
        try:
            proposals = replace(known, request=request) if known is not None else proposer(request)
        except (LoadError, NodeError) as error:
            self._say({"id": message["id"], "problem": str(error)})
            return
        reply = {"id": message["id"], "answer": pack(proposals), "ahead": known is not None, "idle": proposer.idle}
        if message.get("timed"):
            reply["ms"] = proposer.timed(request)
        self._say(reply)
        proposer.idle = []
        if ahead is not None:
            ahead.show(proposals)

    def _say(self, message: dict[str, Any]) -> None:
        self._output.write(msgpack.packb(message))
        self._output.flush()


def main(flag: str) -> int:
    """Serve on standard input and output; native code that prints is led to standard error."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    server = Server(output, CancelFlag(flag))
    source = os.fdopen(0, "rb", buffering=0)  # unbuffered: a read gives what is there
    threading.Thread(target=server.listen, args=(source,), daemon=True).start()
    code = server.run()
    output.close()
    return code


if __name__ == "__main__":
    os._exit(main(sys.argv[1]))  # the reader may still wait for input
