"""CURVE keys on disk: who may listen when events leave this machine.

A folder of keys holds ``server.key`` and ``server.key_secret`` for the machine that publishes, one pair per
reader, and ``clients/`` with the public keys of the readers that are let in. Secret files are for their
owner's eyes only. ZeroMQ's CURVE encrypts and proves both ends; the format is that of ``zmq.auth``
certificates.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import stat
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import zmq
import zmq.auth
from zmq.auth.thread import ThreadAuthenticator

from volition.core.errors import BusError

SERVER = "server"
CLIENTS = "clients"


def is_local(address: str) -> bool:
    """Whether a ZeroMQ address stays on this machine.

    >>> is_local("tcp://127.0.0.1:5556"), is_local("tcp://*:5556"), is_local("ipc:///tmp/x")
    (True, False, True)
    """
    if address.startswith(("ipc://", "inproc://")):
        return True
    try:
        host = urlsplit(address).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def create(folder: str | Path, name: str) -> Path:
    """Make one key pair, ``name.key`` and ``name.key_secret``, and let a reader's into ``clients/``.

    Parameters
    ----------
    folder
        The folder of keys; made with access for its owner only when it is not there.
    name
        ``server`` for the machine that publishes, anything else for a reader.

    Returns
    -------
    Path
        The public key's file.

    Raises
    ------
    BusError
        When there is such a pair already, or the folder cannot be written.
    """
    folder = Path(folder)
    if not name.replace("-", "").replace("_", "").isalnum():
        raise BusError(f"keys: {name!r} is no name for a key; use letters, digits, - and _")
    public, secret = folder / f"{name}.key", folder / f"{name}.key_secret"
    if public.exists() or secret.exists():
        raise BusError(f"keys: {folder} has a pair {name!r} already; take another name, or delete the two files")
    try:
        clients = folder / CLIENTS
        for place in (folder, clients):
            if not place.is_dir():
                place.mkdir(parents=True, mode=0o700)
        # The secret must not be readable for the moment between its creation and a chmod.
        umask = os.umask(0o077)
        try:
            zmq.auth.create_certificates(str(folder), name)
        finally:
            os.umask(umask)
        if name != SERVER:
            shutil.copyfile(public, clients / public.name)
    except OSError as error:
        raise BusError(f"keys: cannot write to {folder}: {error}") from None
    return public


def load(folder: str | Path, name: str) -> tuple[bytes, bytes]:
    """Public and secret key of a pair.

    Raises
    ------
    BusError
        When the pair is missing, damaged, or readable by others.
    """
    path = Path(folder) / f"{name}.key_secret"
    if not path.is_file():
        raise BusError(f"keys: {path} is missing; run `volition keys new {name} --folder {folder}`")
    if sys.platform != "win32" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise BusError(f"keys: {path} can be read by others; run `chmod 600 {path}`")
    public, secret = _read(path)
    if secret is None:
        raise BusError(f"keys: {path} holds no secret key; delete it and run `volition keys new {name}`")
    return public, secret


def load_public(folder: str | Path, name: str) -> bytes:
    """The public key of a pair, as a reader needs it of the server."""
    path = Path(folder) / f"{name}.key"
    if not path.is_file():
        raise BusError(f"keys: {path} is missing; copy it from the machine that publishes")
    return _read(path)[0]


def _read(path: Path) -> tuple[bytes, bytes | None]:
    try:
        return zmq.auth.load_certificate(str(path))
    except (OSError, ValueError) as error:
        raise BusError(f"keys: {path} is no key file: {error}") from None


def secure_server(context: zmq.Context[Any], socket: zmq.Socket[Any], folder: str | Path) -> ThreadAuthenticator:
    """Let only the readers in ``clients/`` connect to a socket that is going to be bound.

    The authenticator that comes back watches over the whole context; stop it before the context is closed.
    """
    public, secret = load(folder, SERVER)
    guard = ThreadAuthenticator(context)
    guard.start()
    guard.configure_curve(domain="*", location=str(Path(folder) / CLIENTS))
    socket.curve_publickey, socket.curve_secretkey = public, secret
    socket.curve_server = True
    return guard


def secure_client(socket: zmq.Socket[Any], folder: str | Path, name: str = "client") -> None:
    """Make a socket that is going to connect show its key, and accept none but the server's."""
    socket.curve_publickey, socket.curve_secretkey = load(folder, name)
    socket.curve_serverkey = load_public(folder, SERVER)
