"""Who is at the other end of a Unix socket, by the kernel's word."""

from __future__ import annotations

import os
import pwd
import socket
from struct import Struct

_ucred = Struct("3i")  # process, user, group


def peer_id(fd: int) -> int | None:
    """The number of the user whose process connected to this Unix socket; None where the kernel does not say."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    with socket.socket(fileno=os.dup(fd)) as sock:
        _, uid, _ = _ucred.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _ucred.size))
    return int(uid)


def peer_user(fd: int) -> str | None:
    """The name of that user, if it has one."""
    uid = peer_id(fd)
    try:
        return pwd.getpwuid(uid).pw_name if uid is not None else None
    except KeyError:
        return None
