"""auth_hba_file, in pg_hba.conf's grammar: by which method who may log in from where; the first line that fits decides.

Of PostgreSQL's grammar there is not what needs a name service: host names, `samenet`, and methods that PgBouncer does
not have either. Each is an error at its line. Members of roles (`+group`, `samerole`) are looked up by who asks.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from trunkline.config.address import BadValue
from trunkline.config.diagnostics import Diagnostic, did_you_mean
from trunkline.config.hba_ident import IdentMaps
from trunkline.config.hba_tokens import Field, Line, Reader, Token, compiled
from trunkline.config.ldap_options import LDAP_OPTIONS, LdapOptions, read_ldap_options
from trunkline.config.pattern_search import search

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_TYPES: Mapping[str, bool | None] = {"local": None, "host": None, "hostssl": True, "hostnossl": False}
"""Of connections: whether they are encrypted, None where that does not matter."""

_METHODS: Mapping[str, frozenset[str]] = {
    "trust": frozenset(),
    "reject": frozenset(),
    "md5": frozenset(),
    "scram-sha-256": frozenset(),
    "password": frozenset(),
    "peer": frozenset(("map",)),
    "cert": frozenset(("map",)),
    "pam": frozenset(("pamservice",)),
    "ldap": LDAP_OPTIONS,
}
"""Methods and their options."""

_NOT_HERE = ("gss", "sspi", "ident", "radius", "bsd", "oauth")
_OF_ROLES = ("samerole", "samegroup")


@dataclass(frozen=True, slots=True)
class Visit:
    """What a rule is chosen by; ``host`` is None on a Unix socket, ``is_physical``: a replication connection."""

    database: str
    user: str
    host: str | None
    is_tls: bool
    is_physical: bool = False
    roles: frozenset[str] = frozenset()
    """Of which the user is a member, its own included; nobody looks them up unless a line depends on it."""

    def __str__(self) -> str:
        where = f'host "{self.host}"' if self.host is not None else 'host "[local]"'
        how = "SSL encryption" if self.is_tls else "no encryption"
        what = "replication connection from" if self.is_physical else ""
        said = f'{what} {where}, user "{self.user}"'.strip()
        return f"{said}, {how}" if self.is_physical else f'{said}, database "{self.database}", {how}'


@dataclass(frozen=True, slots=True)
class Names:
    """A field of databases or of users."""

    words: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    patterns: tuple[re.Pattern[str], ...] = ()
    groups: frozenset[str] = frozenset()
    """Names of roles whose members are meant: `+name`."""

    def fit(self, name: str) -> bool:
        return "all" in self.words or name in self.names or any(search(one, name) for one in self.patterns)


@dataclass(frozen=True, slots=True)
class Rule:
    """One line; ``network`` is None where every address fits."""

    file: str
    line: int
    type: str
    databases: Names
    users: Names
    network: Network | None
    method: str
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    ldap: LdapOptions | None = None

    def fits(self, visit: Visit) -> bool:
        fits_user = self.users.fit(visit.user) or bool(self.users.groups & visit.roles)
        return fits_user and self._fits_connection(visit) and self._fits_database(visit)

    def may_depend_on_roles(self, visit: Visit) -> bool:
        """Whether it would fit a member of some role."""
        asks = self.users.groups or not self.databases.words.isdisjoint(_OF_ROLES)
        return bool(asks) and self._fits_connection(visit)

    def _fits_connection(self, visit: Visit) -> bool:
        if (self.type == "local") != (visit.host is None):
            return False
        encrypted = _TYPES[self.type]
        if encrypted is not None and encrypted != visit.is_tls:
            return False
        return self.network is None or (visit.host is not None and _address(visit.host) in self.network)

    def _fits_database(self, visit: Visit) -> bool:
        if visit.is_physical:
            return "replication" in self.databases.words
        of_roles = visit.database in visit.roles and not self.databases.words.isdisjoint(_OF_ROLES)
        same_user = "sameuser" in self.databases.words and visit.database == visit.user
        return of_roles or same_user or self.databases.fit(visit.database)


@dataclass(frozen=True, slots=True)
class Hba:
    """All rules, and the maps that they name."""

    rules: tuple[Rule, ...] = ()
    maps: IdentMaps = IdentMaps()  # noqa: RUF009

    def find(self, visit: Visit) -> Rule | None:
        """The first rule that fits."""
        return next((rule for rule in self.rules if rule.fits(visit)), None)

    def depends_on_roles(self, visit: Visit) -> bool:
        """Whether which rule is the first one cannot be told before the user's roles are known."""
        for rule in self.rules:
            if rule.may_depend_on_roles(visit):
                return True
            if rule.fits(visit):
                return False
        return False

    @property
    def names_roles(self) -> bool:
        """Whether any rule, or a map, depends on roles."""
        asks = any(rule.users.groups or not rule.databases.words.isdisjoint(_OF_ROLES) for rule in self.rules)
        return asks or self.maps.names_roles


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An IPv4 client of a socket for both kinds is an IPv4 client."""
    address = ipaddress.ip_address(host)
    return getattr(address, "ipv4_mapped", None) or address


def load_hba(path: Path, maps: IdentMaps) -> tuple[Hba, list[Diagnostic]]:
    """The rules of a file, and all that is wrong in it; Unreadable if there is none."""
    reader = Reader()
    rules = []
    for line in reader.lines(path):
        try:
            rules.append(_RuleReader(line, maps).rule())
        except _Wrong as wrong:
            reader.diagnostics.append(wrong.diagnostic)
    return Hba(tuple(rules), maps), reader.diagnostics


@dataclass(frozen=True, slots=True)
class _Wrong(Exception):
    diagnostic: Diagnostic


class _RuleReader:
    """One line, field by field."""

    def __init__(self, line: Line, maps: IdentMaps) -> None:
        self._line = line
        self._maps = maps
        self._fields = list(line.fields)

    def rule(self) -> Rule:
        kind = self._one("the type of the connection")
        if kind.keyword not in _TYPES:
            hint = did_you_mean(kind.text, _TYPES) or "it is one of " + ", ".join(_TYPES)
            raise self._wrong(f"unknown type `{kind.text}`", hint, kind)
        databases = self._names("databases", _DATABASE_WORDS)
        users = self._names("users", ("all",))
        network = None if kind.text == "local" else self._network()
        method = self._method(kind.text)
        options = self._options(method)
        ldap = self._ldap(method, options)
        file, number = self._line.file, self._line.number
        return Rule(file, number, kind.text, databases, users, network, method.text, options, ldap)

    def _wrong(self, message: str, hint: str = "", at: Token | None = None) -> _Wrong:
        return _Wrong(self._line.error(message, hint, at))

    def _field(self, what: str) -> Field:
        if not self._fields:
            raise self._wrong(f"the line ends before {what}", "write TYPE DATABASE USER [ADDRESS] METHOD")
        return self._fields.pop(0)

    def _one(self, what: str) -> Token:
        tokens = self._field(what)
        if len(tokens) != 1:
            raise self._wrong(f"several values for {what}", at=tokens[0] if tokens else None)
        return tokens[0]

    def _names(self, what: str, words: tuple[str, ...]) -> Names:
        tokens = self._field(what)
        patterns = []
        groups = [] if "sameuser" in words else [one for one in tokens if one.keyword.startswith("+")]
        for token in tokens:
            if token.text.startswith("/"):
                pattern = compiled(self._line, token)
                if isinstance(pattern, Diagnostic):
                    raise _Wrong(pattern)
                patterns.append(pattern)
        plain = [token for token in tokens if not token.text.startswith("/") and token not in groups]
        said = frozenset(token.text for token in plain if token.keyword in words)
        names = frozenset(token.text for token in plain if token.keyword not in words)
        return Names(said, names, tuple(patterns), frozenset(token.text[1:] for token in groups))

    def _network(self) -> Network | None:
        token = self._one("the address")
        if token.keyword == "all":
            return None
        if token.keyword in ("samehost", "samenet"):
            raise self._wrong(f"`{token.text}` is not supported", "write the addresses", token)
        if "/" in token.text:
            return self._as_network(token, token.text)
        try:
            ipaddress.ip_address(token.text)
        except ValueError:
            hint = "host names are not looked up: write an address as in 10.0.0.0/8"
            raise self._wrong(f"`{token.text}` is no address", hint, token) from None
        mask = self._one("the mask")
        return self._as_network(mask, f"{token.text}/{_prefix(mask.text)}")

    def _as_network(self, token: Token, written: str) -> Network:
        try:
            return ipaddress.ip_network(written, strict=False)
        except ValueError as error:
            raise self._wrong(
                f"not a network: {error}", "write it as in 10.0.0.0/8 or 10.0.0.0 255.0.0.0", token
            ) from None

    def _method(self, kind: str) -> Token:
        method = self._one("the method")
        if method.text in _NOT_HERE:
            raise self._wrong(f"method `{method.text}` is not supported", "use one of " + ", ".join(_METHODS), method)
        if method.text not in _METHODS:
            hint = did_you_mean(method.text, _METHODS) or "it is one of " + ", ".join(_METHODS)
            raise self._wrong(f"unknown method `{method.text}`", hint, method)
        if method.text == "peer" and kind != "local":
            raise self._wrong("`peer` is for local connections", "", method)
        if method.text == "cert" and kind != "hostssl":
            raise self._wrong("`cert` is for hostssl connections", "", method)
        return method

    def _ldap(self, method: Token, options: Mapping[str, str]) -> LdapOptions | None:
        try:
            return read_ldap_options(options) if method.text == "ldap" else None
        except BadValue as error:
            raise self._wrong(error.message, error.hint, method) from None

    def _options(self, method: Token) -> dict[str, str]:
        options: dict[str, str] = {}
        for tokens in self._fields:
            token = tokens[0]
            name, equals, value = ",".join(one.text for one in tokens).partition("=")
            if not equals:
                raise self._wrong(f"`{token.text}` is not an option", "write NAME=VALUE", token)
            if name not in _METHODS[method.text]:
                known = did_you_mean(name, _METHODS[method.text])
                raise self._wrong(f"`{method.text}` has no option `{name}`", known, token)
            options[name] = value
            if name == "map" and value not in self._maps:
                raise self._wrong(f"there is no map `{value}` in auth_ident_file", "", token)
        return options


_DATABASE_WORDS = ("all", "sameuser", "replication", *_OF_ROLES)


def _prefix(mask: str) -> str:
    """A mask as the length of its prefix; ipaddress does so for IPv4 only. What is no mask is left for it to refuse."""
    try:
        bits = f"{int(ipaddress.IPv6Address(mask)):0128b}"
    except ValueError:
        return mask
    return str(bits.count("1")) if "01" not in bits else mask
