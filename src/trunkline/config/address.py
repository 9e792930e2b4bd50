"""Server addresses and the URLs they are written as; pure, and exact about where a URL is wrong.

The grammar is libpq's (PostgreSQL documentation, 34.1.1.2): ``postgres://user:password@host:port,host:port/dbname?key=value``,
everything percent-encoded, IPv6 in brackets, a directory as ``%2Fdir`` or ``?host=/dir``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

DEFAULT_PORT = 5432
_SCHEME = re.compile(r"postgres(?:ql)?://")
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HOST = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(?::(?P<port>[^:]*))?", re.DOTALL)
_LISTEN = re.compile(r"(?P<host>\[[^\[\]\s]+\]|[^:\[\]\s]+):(?P<port>[0-9]{1,5})", re.ASCII)


class BadValue(ValueError):
    """A value that cannot be used; ``offset`` says where in the written text, counted from its first character.

    ``inside`` leads to the part of an array or table that is meant, where the value is one.
    """

    def __init__(self, message: str, hint: str = "", offset: int = 0, *, inside: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.offset = offset
        self.inside = inside


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """One PostgreSQL server: a host name, an address or a socket directory, and what to say to it if that is fixed."""

    host: str
    port: int = DEFAULT_PORT
    dbname: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    weight: int = 1  # of a replica: its share of the reads; 0 is only where there is no other
    zone: str = ""

    @property
    def is_unix(self) -> bool:
        return self.host.startswith(("/", "@"))

    def filled_from(self, other: ServerAddress) -> ServerAddress:
        """With the database, user and password of another where it has none of its own."""
        filled = self if self.user is not None else replace(self, user=other.user, password=other.password)
        return replace(filled, dbname=self.dbname or other.dbname)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where to listen: an address or name of this machine, `*` for all of them, and a port; 0 is any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One ``name=value`` of a URL's query, decoded, with the offset of its value in the URL."""

    name: str
    value: str = field(repr=False)
    offset: int = 0
    name_offset: int = 0


@dataclass(frozen=True, slots=True)
class ServerUrl:
    """A parsed URL. ``hosts`` and ``ports`` go together; ``None`` is what the URL does not say."""

    hosts: tuple[str, ...]
    ports: tuple[int, ...]
    dbname: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    parameters: tuple[Parameter, ...] = ()

    def addresses(self) -> tuple[ServerAddress, ...]:
        pairs = zip(self.hosts, self.ports, strict=True)
        return tuple(ServerAddress(h, p, self.dbname, self.user, self.password) for h, p in pairs)


def parse_url(url: str) -> ServerUrl:
    """Take a URL apart, or raise BadValue with the offset of what is wrong."""
    scheme = _SCHEME.match(url)
    if scheme is None:
        raise BadValue("not a PostgreSQL URL", "write postgres://user:password@host:port/dbname")
    _refuse_unwritable(url)
    authority_end = _first_of(url, "/?", scheme.end())
    query_start = _first_of(url, "?", authority_end)
    at = url.rfind("@", scheme.end(), authority_end)
    user, password = _credentials(url, scheme.end(), at)
    hosts, ports = _hosts(url, at + 1 if at >= 0 else scheme.end(), authority_end)
    dbname = _decode(url, authority_end + 1, query_start) or None
    return _apply_query(ServerUrl(hosts, ports, dbname, user, password), _query(url, query_start + 1))


def _refuse_unwritable(url: str) -> None:
    for offset, character in enumerate(url):
        if character == "#" or character.isspace() or not character.isprintable():
            escaped = "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))
            raise BadValue("a character that must not stand in a URL", f"write it as {escaped}", offset)


def _first_of(url: str, stops: str, start: int) -> int:
    return min((found for stop in stops if (found := url.find(stop, start)) >= 0), default=len(url))


def _decode(url: str, start: int, end: int) -> str:
    text = url[start:end]
    if (bad := _ESCAPE.search(text)) is not None:
        raise BadValue(
            "% must be followed by two hexadecimal digits", "a percent sign itself is %25", start + bad.start()
        )
    pieces = re.split(r"((?:%[0-9A-Fa-f]{2})+)", text)
    try:
        decoded = "".join(bytes.fromhex(p.replace("%", "")).decode() if i % 2 else p for i, p in enumerate(pieces))
    except UnicodeDecodeError:
        raise BadValue("the percent-encoded bytes are not UTF-8", "", start + text.index("%")) from None
    if "\0" in decoded:
        raise BadValue("%00 cannot be part of a name or password", "", start + text.index("%00"))
    return decoded


def _credentials(url: str, start: int, at: int) -> tuple[str | None, str | None]:
    if at < 0:
        return None, None
    colon = url.find(":", start, at)
    if colon < 0:
        return _decode(url, start, at) or None, None
    return _decode(url, start, colon) or None, _decode(url, colon + 1, at) or None


def _hosts(url: str, start: int, end: int) -> tuple[tuple[str, ...], tuple[int, ...]]:
    if start == end:
        return (), ()
    pairs = []
    for item in url[start:end].split(","):
        pairs.append(_host_and_port(url, start, start + len(item)))
        start += len(item) + 1
    hosts, ports = zip(*pairs, strict=True)
    return hosts, ports


def _host_and_port(url: str, start: int, end: int) -> tuple[str, int]:
    match = _HOST.fullmatch(url, start, end)
    if match is None:
        raise BadValue("not a host", "an IPv6 address stands in brackets: [::1]:5432", start)
    host = _decode(url, *match.span("host")).strip("[]")
    if not host:
        raise BadValue("an empty host", "", start)
    if not match["port"]:
        return host, DEFAULT_PORT
    return host, read_port(match["port"], match.start("port"))


def read_port(text: str, offset: int = 0) -> int:
    """A TCP port, which also names the socket file in a directory."""
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535):
        hint = "in a user name or password, write / as %2F, ? as %3F, @ as %40 and : as %3A"
        raise BadValue("the port is not a number from 1 to 65535", hint, offset)
    return int(text)


def read_listen_address(text: str) -> ListenAddress:
    """`host:port`, an IPv6 address in brackets."""
    match = _LISTEN.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        raise BadValue("must be an address and a port", 'write it as in "127.0.0.1:9127" or "[::1]:9127"')
    return ListenAddress(match["host"].strip("[]"), int(match["port"]))


def _query(url: str, start: int) -> list[Parameter]:
    found: dict[str, Parameter] = {}
    for item in url[start:].split("&") if start < len(url) else ():
        parameter = _parameter(url, start, start + len(item))
        if parameter.name in found:
            raise BadValue(f"`{parameter.name}` is given twice", "", start)
        found[parameter.name] = parameter
        start += len(item) + 1
    return list(found.values())


def _parameter(url: str, start: int, end: int) -> Parameter:
    equals = url.find("=", start, end)
    if equals <= start:
        raise BadValue("a parameter is written name=value", "", start)
    return Parameter(_decode(url, start, equals), _decode(url, equals + 1, end), equals + 1, start)


def _apply_query(url: ServerUrl, parameters: list[Parameter]) -> ServerUrl:
    """libpq lets the query name the host, port, user, password and database too, and there it wins."""
    rest = []
    named: dict[str, Parameter] = {}
    for parameter in parameters:
        if parameter.name in ("host", "port", "user", "password", "dbname"):
            named[parameter.name] = parameter
        else:
            rest.append(parameter)
    texts: dict[str, Any] = {n: p.value or None for n, p in named.items() if n in ("user", "password", "dbname")}
    url = replace(url, parameters=tuple(rest), **texts)
    return _apply_hosts(url, named.get("host"), named.get("port"))


def _apply_hosts(url: ServerUrl, host: Parameter | None, port: Parameter | None) -> ServerUrl:
    if host is not None:
        hosts = tuple(host.value.split(","))
        if not all(hosts):
            raise BadValue("an empty host", "", host.offset)
        ports = url.ports if len(url.ports) == len(hosts) else (DEFAULT_PORT,) * len(hosts)
        url = replace(url, hosts=hosts, ports=ports)
    if port is None:
        return url
    ports = tuple(read_port(text, port.offset) for text in port.value.split(","))
    if len(ports) == 1:
        ports *= max(len(url.hosts), 1)
    if len(ports) != max(len(url.hosts), 1):
        raise BadValue("as many ports as hosts are needed, or one for all", "", port.offset)
    return replace(url, ports=ports, hosts=url.hosts or ("localhost",))
