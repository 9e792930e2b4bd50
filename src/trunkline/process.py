"""What a serving process is to its system: whose it is, its pidfile, its way into the background, and news for systemd.

Contract: as PgBouncer does it. A pidfile whose process lives, or that holds no number, is another instance's; one whose
process is gone is removed. Ours is written when clients can come, and is gone when the process is.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import pwd
import socket
import time
from collections.abc import Iterator, MutableMapping
from pathlib import Path

from trunkline.config.global_settings import Settings
from trunkline.errors import ConfigError

log = logging.getLogger("trunkline")

_FIRST_ACTIVATED = 3


def become(user: str) -> None:
    """Take on the identity of a user, with all groups; nothing happens if it is ours."""
    if not user:
        return
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise ConfigError(f"user {user} does not exist") from None
    if os.geteuid() == entry.pw_uid:
        return
    try:
        os.initgroups(user, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    except OSError as error:
        raise ConfigError(f"failed to assume identity of user '{user}': {error.strerror}") from None


def check_pidfile(file: str) -> None:
    """Refuse to start beside another instance; clear away what one has left that is dead."""
    if not file:
        return
    try:
        written = Path(file).read_text("ascii", "replace")
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(f"could not open pidfile '{file}': {error.strerror}") from None
    if _lives(written):
        raise ConfigError(f"pidfile '{file}' exists, another instance running?")
    log.info("stale pidfile, removing")
    try:
        os.unlink(file)
    except OSError as error:
        raise ConfigError(f"could not remove stale pidfile: {error.strerror}") from None


def _lives(written: str) -> bool:
    """Whether this may be the number of a process that runs."""
    number = written.strip()
    if not number.isdigit() or not 0 < int(number) < 2**31:
        return True
    try:
        os.kill(int(number), 0)
    except OSError as error:
        return error.errno != errno.ESRCH
    return True


@contextlib.contextmanager
def pidfile(file: str, *, takes_over: bool = False) -> Iterator[None]:
    """Hold the pidfile, if there is to be one; a successor's takes the place of its predecessor's."""
    if not file:
        yield
        return
    written = f"{file}.{os.getpid()}" if takes_over else file
    try:
        descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        with open(descriptor, "w") as opened:
            opened.write(f"{os.getpid()}\n")
        if takes_over:
            os.rename(written, file)
    except OSError as error:
        raise ConfigError(f"could not open pidfile '{file}': {error.strerror}") from None
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if Path(file).read_text("ascii", "replace").strip() == str(os.getpid()):
                os.unlink(file)


def go_into_background(settings: Settings) -> None:
    """Leave the terminal: the caller's process ends with success, and its grandchild goes on."""
    if not settings.pidfile:
        raise ConfigError("daemon needs pidfile configured")
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nothing, descriptor)
    if nothing > 2:
        os.close(nothing)
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():  # a leader of its session could get a terminal again
        os._exit(0)


def activated(environ: MutableMapping[str, str]) -> list[socket.socket]:
    """The listening sockets that systemd has opened for this process (sd_listen_fds(3)); none if it has not."""
    process, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "0")
    if process != str(os.getpid()) or not count.isdigit():
        return []
    sockets = [socket.socket(fileno=_FIRST_ACTIVATED + number) for number in range(int(count))]
    for sock in sockets:
        sock.set_inheritable(False)
        sock.setblocking(False)
    return sockets


def notify(state: str) -> None:
    """Tell systemd, where it started us and wants to know: READY=1, STOPPING=1, or `reloading`'s."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)


def reloading() -> str:
    """What systemd is told when a reload begins; READY=1 ends it."""
    return f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}"
