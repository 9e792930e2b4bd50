"""Names behind which there is code that no statement shows: functions, and the tables, views and rules that call them.

A statement that mentions such a name may do to its session whatever that code does. Code is doubtful when its text
has a word that changes a session, or mentions a doubtful name; a relation is doubtful when a trigger, default, check,
policy or rule of it is, or when reading or writing it reaches a doubtful one (views, foreign keys, partitions).

Not seen: what extensions do in C, operators and casts that call doubtful functions, and code that is changed by
somebody else's connection, until the next look.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from trunkline.routing.session.bodies import code_is_doubtful
from trunkline.routing.text.lexer import DOUBTFUL_WORDS, Vocabulary
from trunkline.routing.text.template import dotted_names, words_of

Row = Sequence[bytes | None]

_LISTED = "pg_proc", "pg_trigger", "pg_rewrite", "pg_constraint", "pg_attrdef", "pg_policy", "pg_event_trigger"
_PARTS = ", ".join(
    f"(SELECT pg_catalog.string_agg(pg_catalog.concat(oid, xmin), ',' ORDER BY oid) FROM pg_catalog.{name}"
    " WHERE oid OPERATOR(pg_catalog.>=) 16384)"
    for name in _LISTED
)
FINGERPRINT = f"SELECT pg_catalog.md5(pg_catalog.concat({_PARTS}))".encode()
"""One value that changes whenever an answer to QUERY could."""

_TEXT_BYTES = 30000  # of a body that is looked at; a longer one is doubtful
_EQ = "OPERATOR(pg_catalog.=)"
QUERY = f"""
SELECT 'function', p.oid::pg_catalog.text, p.proname::pg_catalog.text,
       CASE WHEN pg_catalog.length(p.prosrc) OPERATOR(pg_catalog.>) {_TEXT_BYTES} THEN 'large'
            ELSE l.lanname::pg_catalog.text END,
       CASE WHEN p.prosqlbody IS NULL THEN pg_catalog.left(p.prosrc, {_TEXT_BYTES})
            ELSE pg_catalog.left(pg_catalog.pg_get_function_sqlbody(p.oid), {_TEXT_BYTES}) END
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid {_EQ} p.prolang
WHERE p.oid OPERATOR(pg_catalog.>=) 16384
  AND l.lanname OPERATOR(pg_catalog.<>) ALL ('{{internal,c}}'::pg_catalog.name[])
UNION ALL
SELECT 'relation', oid::pg_catalog.text, relname::pg_catalog.text, '', '' FROM pg_catalog.pg_class
WHERE oid OPERATOR(pg_catalog.>=) 16384 AND relkind {_EQ} ANY ('{{r,v,p,f,m}}'::pg_catalog."char"[])
UNION ALL
SELECT 'reaches', tgrelid::pg_catalog.text, tgfoid::pg_catalog.text, '', '' FROM pg_catalog.pg_trigger
WHERE NOT tgisinternal
UNION ALL
SELECT 'reaches', r.ev_class::pg_catalog.text, d.refobjid::pg_catalog.text, '', ''
FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend d
  ON d.objid {_EQ} r.oid AND d.classid {_EQ} 2618 AND d.refclassid {_EQ} ANY ('{{1255,1259}}'::pg_catalog.oid[])
WHERE r.oid OPERATOR(pg_catalog.>=) 16384
UNION ALL
SELECT 'reaches', o.relation::pg_catalog.text, d.refobjid::pg_catalog.text, '', ''
FROM (SELECT 2604 AS class, oid, adrelid AS relation FROM pg_catalog.pg_attrdef
      UNION ALL SELECT 2606, oid, conrelid FROM pg_catalog.pg_constraint WHERE contype {_EQ} 'c'
      UNION ALL SELECT 3256, oid, polrelid FROM pg_catalog.pg_policy) AS o
JOIN pg_catalog.pg_depend d
  ON d.objid {_EQ} o.oid AND d.classid {_EQ} o.class::pg_catalog.oid AND d.refclassid {_EQ} 1255
UNION ALL
SELECT 'reaches', confrelid::pg_catalog.text, conrelid::pg_catalog.text, '', '' FROM pg_catalog.pg_constraint
WHERE contype {_EQ} 'f'
UNION ALL
SELECT 'reaches', inhparent::pg_catalog.text, inhrelid::pg_catalog.text, '', '' FROM pg_catalog.pg_inherits
UNION ALL
SELECT 'event', '', evtfoid::pg_catalog.text, '', '' FROM pg_catalog.pg_event_trigger
""".encode()
"""(kind, oid, name or oid, language, source) of everything that can hide code, and of what reaches what."""

_READ_AS_CODE = frozenset((b"plpgsql", b"sql"))
_SESSION_WORDS = frozenset(word.encode() for word in DOUBTFUL_WORDS) | {
    b"set",
    b"reset",
    b"discard",
    b"listen",
    b"load",
}
_DDL = frozenset((b"create", b"alter", b"drop"))


@dataclass(frozen=True, slots=True)
class UnseenCode:
    """Doubtful names of a database, and settings with a dot that their code speaks of; all lower case."""

    words: frozenset[bytes] = frozenset()
    settings: frozenset[bytes] = frozenset()


COLUMNS = 5  # kind, oid, name, language, source


def unseen_code(rows: Iterable[Row]) -> UnseenCode:
    """The doubtful names, from the answer to QUERY."""
    names: dict[bytes, bytes] = {}
    sources: dict[bytes, tuple[bytes, bytes]] = {}
    reached_by: dict[bytes, set[bytes]] = {}
    events: set[bytes] = set()
    for kind, oid, name, language, source in rows:
        oid, name = oid or b"", name or b""
        if kind == b"event":
            events.add(name)
        elif kind == b"reaches":
            reached_by.setdefault(name, set()).add(oid)
        else:
            names[oid] = name.lower()
            if kind == b"function":
                sources[oid] = (language or b"", source or b"")
    doubtful = {oid for oid, (language, source) in sources.items() if _is_doubtful(language, source)}
    mentions = {oid: words_of(source) for oid, (_, source) in sources.items()}
    _spread(doubtful, names, mentions, reached_by)
    settings = {name for oid in doubtful if oid in sources for name in dotted_names(sources[oid][1])}
    words = {names[oid] for oid in doubtful if oid in names} | (_DDL if events & doubtful else frozenset())
    return UnseenCode(frozenset(words), frozenset(settings))


def _is_doubtful(language: bytes, source: bytes) -> bool:
    if language in _READ_AS_CODE:
        return code_is_doubtful(_plain, source)
    return language == b"large" or bool(words_of(source) & _SESSION_WORDS)


def _spread(
    doubtful: set[bytes],
    names: dict[bytes, bytes],
    mentions: dict[bytes, frozenset[bytes]],
    reached_by: dict[bytes, set[bytes]],
) -> None:
    """Add everything that reaches something doubtful, until nothing is added any more."""
    fresh = set(doubtful)
    while fresh:
        words = {names[oid] for oid in fresh if oid in names}
        callers = {oid for oid, mentioned in mentions.items() if not words.isdisjoint(mentioned)}
        fresh = (callers | {user for oid in fresh for user in reached_by.get(oid, ())}) - doubtful
        doubtful |= fresh


_plain = Vocabulary()
