"""Keeps a process on this machine: what it wants of another one is refused, and told in the log.

For the self-test, which must show that nothing asks for a foreign machine unless a person did. Python's audit
events are watched, so it knows what Python code does, and nothing of sockets that native code would open. It
can't be taken back: a process that does this ends afterwards.
"""

from __future__ import annotations

import errno
import ipaddress
import logging
import os
import sys

LOGGER_NAME = "engine.loopback"
"""Gets a warning for everything refused, in this process and in the engine's; the message is the target."""

_log = logging.getLogger(LOGGER_NAME)
_VARIABLE = "CHATBELLE_LOOPBACK_ONLY"
_ADDRESS = 1
# event -> which of its arguments is a host, or an address whose first item is one.
_EVENTS = {
    "socket.connect": _ADDRESS,
    "socket.sendto": _ADDRESS,
    "socket.sendmsg": _ADDRESS,
    "socket.bind": _ADDRESS,
    "socket.getaddrinfo": 0,
    "socket.gethostbyname": 0,
    "socket.gethostbyaddr": 0,
    "socket.getnameinfo": 0,
}


def confine() -> None:
    """Keep this process, and every engine process it starts, on this machine."""
    os.environ[_VARIABLE] = "1"
    sys.addaudithook(_refuse_foreign)


def confine_if_asked() -> None:
    """Do so in a process that was started by a confined one."""
    if os.environ.get(_VARIABLE):
        sys.addaudithook(_refuse_foreign)


def is_foreign(event: str, target: object) -> bool:
    """Whether the host or socket address `target` of an audit event is outside of this machine."""
    host = target[0] if isinstance(target, tuple) and target else target
    if isinstance(target, str | bytes) and _EVENTS.get(event) == _ADDRESS:
        return False  # the path of a Unix socket
    if isinstance(host, bytes | bytearray):
        host = bytes(host).decode("ascii", "replace")
    if not isinstance(host, str):
        return False  # no host: this machine, or sockets of another kind
    if event == "socket.bind" and host in ("", "0.0.0.0", "::"):
        return True  # listens to everybody
    return not _is_here(host)


def _is_here(host: str) -> bool:
    name = host.partition("%")[0].rstrip(".").lower()
    if name in ("", "localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _refuse_foreign(event: str, arguments: tuple[object, ...]) -> None:
    index = _EVENTS.get(event)
    if index is None or len(arguments) <= index:
        return
    target = arguments[index]
    if is_foreign(event, target):
        told = target[0] if isinstance(target, tuple) and target else target
        _log.warning("%s", told)
        raise ConnectionRefusedError(errno.ECONNREFUSED, f"{event} {told}")
