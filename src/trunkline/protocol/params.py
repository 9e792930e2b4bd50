"""The settings of a session that follow a client from server to server, as one immutable, interned value.

Two sessions with equal settings hold the very same object, so that the hot path compares pointers. `reported` are
those that servers announce with ParameterStatus (documentation, section 55.2.7), in the server's own spelling;
`extra` are those that only the startup packet named and no server reports. Names of `extra` are lower case.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from weakref import WeakValueDictionary

# Reported, but no client can set them: a difference between two servers is told, not replayed.
FIXED = frozenset(
    (
        b"in_hot_standby",
        b"integer_datetimes",
        b"is_superuser",
        b"server_encoding",
        b"server_version",
    )
)

_OF_SERVERS = FIXED - {b"is_superuser"}

# Who the session acts for: a change of the first ends the second, and either changes is_superuser.
IDENTITY = (b"session_authorization", b"role")

# What decides how the text of a statement is understood: names, literals and rights (parse analysis happens once).
MEANING = frozenset(
    (
        b"array_nulls",
        b"backslash_quote",
        b"client_encoding",
        b"datestyle",
        b"default_text_search_config",
        b"intervalstyle",
        b"lc_monetary",
        b"role",
        b"search_path",
        b"session_authorization",
        b"standard_conforming_strings",
        b"timezone",
        b"timezone_abbreviations",
        b"transform_null_equals",
        b"xmlbinary",
        b"xmloption",
    )
)

# Of these, what only the first parse goes by: a change later does not reach a statement that is prepared already.
LITERALS = MEANING - {b"search_path", b"role", b"session_authorization"}

_LITERAL = frozenset(range(32, 127)) - {ord("\\")}  # bytes that mean themselves in E'...'

_meanings: WeakValueDictionary[frozenset[tuple[bytes, bytes]], frozenset[tuple[bytes, bytes]]] = WeakValueDictionary()
_interned: WeakValueDictionary[tuple[frozenset[tuple[bytes, bytes]], frozenset[tuple[bytes, bytes]]], Params]
_interned = WeakValueDictionary()


class Params:
    """Interned: made by `Params.of` only, compared with `is`."""

    __slots__ = ("__weakref__", "extra", "meaning", "reported")

    def __init__(self, reported: Mapping[bytes, bytes], extra: Mapping[bytes, bytes]) -> None:
        self.reported = MappingProxyType(dict(reported))
        self.extra = MappingProxyType(dict(extra))
        every = [(name.lower(), value) for name, value in (*reported.items(), *extra.items())]
        meaning = frozenset(item for item in every if item[0] in MEANING)
        self.meaning = _meanings.setdefault(meaning, meaning)

    @staticmethod
    def of(reported: Mapping[bytes, bytes], extra: Mapping[bytes, bytes]) -> Params:
        """The one object with these values."""
        key = (frozenset(reported.items()), frozenset(extra.items()))
        found = _interned.get(key)
        if found is None:
            found = _interned[key] = Params(reported, extra)
        return found

    def with_reported(self, name: bytes, value: bytes) -> Params:
        """After a ParameterStatus."""
        if self.reported.get(name) == value:
            return self
        return Params.of({**self.reported, name: value}, self.extra)

    def requested(self, settings: Iterable[tuple[bytes, bytes]]) -> Params:
        """What a session that asks for these settings at startup should have, before a server has judged them."""
        spelling = {name.lower(): name for name in self.reported if name not in FIXED}  # those it will refuse itself
        reported, extra = dict(self.reported), dict(self.extra)
        for name, value in settings:
            known = spelling.get(name.lower())
            if known is None:
                extra[name.lower()] = value
            else:
                reported[known] = value
        return Params.of(reported, extra)

    def news_for(self, other: Params) -> list[tuple[bytes, bytes]]:
        """What these have otherwise of all that a session decides, and who it acts for."""
        mine, told = self.reported.items(), other.reported
        return [(name, value) for name, value in mine if name not in _OF_SERVERS and told.get(name) != value]

    def with_extra(self, extra: Mapping[bytes, bytes]) -> Params:
        """With other settings that no server reports."""
        return Params.of(self.reported, extra)

    def difference(self, target: Params) -> Difference:
        """What has to happen to a session with these settings for it to have those of `target`."""
        changed = {name: value for name, value in target.reported.items() if self.reported.get(name) != value}
        set_ = [(name, value) for name, value in changed.items() if name not in FIXED]
        set_ += [(name, value) for name, value in target.extra.items() if self.extra.get(name) != value]
        tell = [(name, self.reported[name]) for name in changed if name in FIXED and name in self.reported]
        identity = b"session_authorization" in changed or self.extra.get(b"role") != target.extra.get(b"role")
        if identity:  # the server will say itself what follows from that
            tell = [(name, value) for name, value in tell if name != b"is_superuser"]
        encoding = target.reported.get(b"client_encoding", b"UTF8")
        reset = tuple(name for name in self.extra if name not in target.extra)
        return Difference(tuple(set_), reset, tuple(tell), encoding)

    def __repr__(self) -> str:
        return f"<Params {dict(self.reported)} {dict(self.extra)}>"


@dataclass(frozen=True, slots=True)
class Difference:
    """`assign` and `reset` are for the server, `tell` are facts of the server that the client does not know yet."""

    assign: tuple[tuple[bytes, bytes], ...]
    reset: tuple[bytes, ...]
    tell: tuple[tuple[bytes, bytes], ...]
    encoding: bytes = b"UTF8"  # in which the values are written

    def sql(self) -> bytes | None:
        """One simple query that applies it, or None when the server is as it should be.

        `set_config` takes a value as the startup packet does; SET would quote a list such as search_path as one name.
        Who the session acts for decides what may be set: the old identity goes first, the new one comes last.
        """
        parts = [b"RESET " + quote_name(name) for name in sorted(self.reset, key=_is_not_role)]
        assigned = {name for name, _ in self.assign}
        parts[:0] = [b"RESET " + name for name in IDENTITY if name in assigned]
        if self.assign:
            calls = (
                b"pg_catalog.set_config(%b, %b, false)" % (quote(n), encoded(v, self.encoding))
                for n, v in self._in_order()
            )
            parts.append(b"SELECT " + b", ".join(calls))
        return b"; ".join(parts) if parts else None

    def _in_order(self) -> list[tuple[bytes, bytes]]:
        return sorted(self.assign, key=lambda item: IDENTITY.index(item[0]) + 1 if item[0] in IDENTITY else 0)


def _is_not_role(name: bytes) -> bool:
    return name != b"role"


def encoded(value: bytes, encoding: bytes) -> bytes:
    """A literal, or, beyond ASCII, an expression of the value's bytes: the session may still be in another encoding."""
    if value.isascii():
        return quote(value)
    decoded = b"pg_catalog.decode('%b', 'hex')" % value.hex().encode()  # whatever a backslash means
    return b"pg_catalog.convert_from(%b, %b)" % (decoded, quote(encoding))


def quote(value: bytes) -> bytes:
    """A string literal that reads the same under both settings of standard_conforming_strings and in any encoding.

    In Shift JIS and its like a backslash can be the second byte of a letter; doubled there, it would open the literal.
    """
    doubled = value.replace(b"'", b"''")
    if b"\\" not in value:
        return b"'%b'" % doubled
    return b" E'%b'" % b"".join(b"%c" % byte if byte in _LITERAL else b"\\%03o" % byte for byte in doubled)


def quote_name(name: bytes) -> bytes:
    """The name of a setting, which may have dots."""
    return b".".join(b'"%b"' % part.replace(b'"', b'""') for part in name.split(b"."))
