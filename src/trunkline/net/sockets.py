"""Sockets as the settings want them: listening, connecting, TCP options. Made here, used by Links as descriptors."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import grp
import ipaddress
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from trunkline.config.address import ServerAddress
from trunkline.config.global_settings import Settings
from trunkline.errors import ConfigError
from trunkline.net.offload import Offload

_resolver = Offload("resolver", threads=4)
NEXT_S = 1.0  # after which the next address of a name is tried, if there is one

Found = list[tuple[int, Any]]
Resolver = Callable[[str, int], Awaitable[Found]]
"""From a name and a port to (family, address) pairs; OSError if the name has none."""


def _tcp_options(settings: Settings) -> list[tuple[int, int, int]]:
    """(level, option, value) of everything that is not left to the system."""
    given = [
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(settings.tcp_keepalive)),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, settings.tcp_keepcnt),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, settings.tcp_keepidle),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, settings.tcp_keepintvl),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, settings.tcp_user_timeout),
        (socket.SOL_SOCKET, socket.SO_RCVBUF, settings.tcp_socket_buffer),
        (socket.SOL_SOCKET, socket.SO_SNDBUF, settings.tcp_socket_buffer),
    ]
    return [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), *(option for option in given if option[2])]


def tune(sock: socket.socket, settings: Settings) -> None:
    """Apply the tcp_* settings to a connected TCP socket."""
    if sock.family == socket.AF_UNIX:
        return
    for level, option, value in _tcp_options(settings):
        sock.setsockopt(level, option, value)


async def resolve(host: str, port: int) -> Found:
    """As the system does it, off the loop; an address that is written as one needs no resolver, and no thread."""
    literal = literal_address(host)
    if literal is not None:
        return [(socket.AF_INET6 if literal.version == 6 else socket.AF_INET, (host, port))]
    found = await _resolver.run(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    return [(family, target) for family, _, _, _, target in found]


def literal_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """What is written in digits; None if it is a name."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host)
    return None


def peer_of(descriptor: int) -> str:
    """The address, in digits, at the other end; OSError if there is none yet, or no longer."""
    with socket.socket(fileno=socket.dup(descriptor)) as duplicate:
        return str(duplicate.getpeername()[0])


async def connect(address: ServerAddress, settings: Settings, resolver: Resolver = resolve) -> socket.socket:
    """A connected, non-blocking socket to a server; OSError when there is none. Of several addresses the first one is
    taken that answers; only the last of them is waited for as long as the caller waits."""
    if address.is_unix:
        path = f"{address.host}/.s.PGSQL.{address.port}"
        name = "\0" + path[1:] if path.startswith("@") else path
        return await _connect_one(socket.AF_UNIX, name, settings)
    found = await resolver(address.host, address.port)
    failure: OSError | None = None
    for number, (family, target) in enumerate(found, 1):
        try:
            async with asyncio.timeout(NEXT_S if number < len(found) else None):
                return await _connect_one(family, target, settings)
        except OSError as error:  # TimeoutError is one too
            failure = error
    raise failure or OSError(errno.EHOSTUNREACH, "the name has no address")


async def _connect_one(family: int, target: object, settings: Settings) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        tune(sock, settings)
        await _connected(sock, target)
    except BaseException:
        sock.close()
        raise
    return sock


async def _connected(sock: socket.socket, target: object) -> None:
    """What loop.sock_connect does, without the four threads that uvloop starts for it (see `offload`)."""
    failure = sock.connect_ex(target)  # type: ignore[arg-type]
    if failure in (errno.EINPROGRESS, errno.EINTR):
        loop = asyncio.get_running_loop()
        writable = asyncio.Event()
        loop.add_writer(sock.fileno(), writable.set)
        try:
            await writable.wait()
        finally:
            loop.remove_writer(sock.fileno())
        failure = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if failure:
        raise OSError(failure, os.strerror(failure))


# --- listening ---------------------------------------------------------------------------------------------------


def listen(settings: Settings, inherited: Iterable[socket.socket] = ()) -> list[socket.socket]:
    """All sockets that clients come to; ConfigError says which address cannot be had, and why.

    Those that were inherited are taken where an address is theirs, and closed where it is not wanted any more.
    """
    sockets: list[socket.socket] = []
    kept = list(inherited)
    try:
        for address in filter(None, (part.strip() for part in settings.listen_addr.split(","))):
            port = sockets[0].getsockname()[1] if sockets else settings.listen_port
            sockets += _listen_tcp(address, port, settings, kept)
        if settings.unix_socket_dir:
            port = sockets[0].getsockname()[1] if sockets else settings.listen_port
            sockets.append(_listen_unix(settings, port, kept))
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    for sock in kept:
        close_listener(sock)
    if not sockets:
        raise ConfigError("nothing to listen on", hint="Set listen_addr or unix_socket_dir.")
    return sockets


def _take(kept: list[socket.socket], family: int, name: object) -> socket.socket | None:
    """The inherited socket of this name; a port of 0 is any."""
    for sock in kept:
        if sock.family == family and _is_called(sock.getsockname(), name):
            kept.remove(sock)
            sock.setblocking(False)
            return sock
    return None


def _is_called(given: Any, wanted: Any) -> bool:
    if isinstance(wanted, tuple):
        return given[0] == wanted[0] and wanted[1] in (0, given[1])
    return _shown(given) == _shown(wanted)


def _shown(path: str | bytes) -> str:
    """Of a Unix socket: an abstract name comes back as bytes."""
    return path.decode() if isinstance(path, bytes) else path


def _listen_tcp(address: str, port: int, settings: Settings, kept: list[socket.socket]) -> list[socket.socket]:
    hosts = ("0.0.0.0", "::") if address == "*" else (address,)
    return [sock for host in hosts for sock in _listen_host(host, port, settings, kept, optional=host == "::")]


def _listen_host(
    host: str, port: int, settings: Settings, kept: list[socket.socket], *, optional: bool
) -> list[socket.socket]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise ConfigError(f"listen_addr: cannot resolve {host!r}: {error.strerror}") from None
    sockets: list[socket.socket] = []
    failed: OSError | None = None
    for family, _, _, _, target in found:  # a name such as localhost has an address in each family
        if sockets:
            target = (target[0], sockets[0].getsockname()[1], *target[2:])
        try:
            sockets.append(_take(kept, family, target) or _bind(family, target, settings))
        except OSError as error:
            failed = error
    if failed is not None and not sockets and not optional:
        hint = "Something else listens there; choose another listen_port." if failed.errno == errno.EADDRINUSE else None
        raise ConfigError(f"cannot listen on {host}:{port}: {os.strerror(failed.errno or 0)}", hint=hint) from None
    return sockets


def _bind(family: int, target: object, settings: Settings) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if settings.so_reuseport:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(target)  # type: ignore[arg-type]
        if settings.tcp_defer_accept:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, settings.tcp_defer_accept)
        sock.listen(settings.listen_backlog)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _listen_unix(settings: Settings, port: int, kept: list[socket.socket]) -> socket.socket:
    """A socket file as PostgreSQL names it; a stale one is replaced, a live one refused."""
    path = f"{settings.unix_socket_dir}/.s.PGSQL.{port}"
    inherited = _take(kept, socket.AF_UNIX, "\0" + path[1:] if path.startswith("@") else path)
    if inherited is not None:
        return inherited
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind("\0" + path[1:] if path.startswith("@") else path)
        if not path.startswith("@"):
            os.chmod(path, settings.unix_socket_mode)
            if settings.unix_socket_group:
                os.chown(path, -1, _group_id(settings.unix_socket_group))
        sock.listen(settings.listen_backlog)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise ConfigError(f"cannot listen on {path}: {error.strerror or error}") from None
    except BaseException:
        sock.close()
        raise
    return sock


def _group_id(group: str) -> int:
    try:
        return int(group) if group.isdigit() else grp.getgrnam(group).gr_gid
    except KeyError:
        raise ConfigError(f"unix_socket_group: there is no group {group!r}") from None


def _remove_stale(path: str) -> None:
    if path.startswith("@"):
        return
    try:
        mode = Path(path).stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigError(f"cannot listen on {path}: it is there and is not a socket")
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        probe.connect(path)
    except ConnectionRefusedError:
        os.unlink(path)
    else:
        raise ConfigError(f"cannot listen on {path}: another process is listening there")
    finally:
        probe.close()


def close_listener(sock: socket.socket) -> None:
    """Stop listening, and take the socket file away."""
    name = sock.getsockname() if sock.fileno() >= 0 else ""
    sock.close()
    if isinstance(name, str) and name.startswith("/"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
