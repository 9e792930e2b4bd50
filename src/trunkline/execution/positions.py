"""What a client has written, as a token: the positions in the logs behind its last writes, by shard, as text and back.

    0/16B3748                    of a database without shards
    s0:0/16B3748,s1:?            of one with shards, those that it has written to; ? is a position that is not known

    SHOW trunkline.lsn           SET trunkline.min_lsn = '0/16B3748'

SHOW is answered by a server, with a constant that stands for the token of the moment at which it runs; SET by a server
too, which is told to set nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from trunkline.errors import InvalidPosition

UNKNOWN = -1
SETTING = b"trunkline.min_lsn"
HINT = "It is what SHOW trunkline.lsn has answered, as it is."

# What SHOW is prepared as. Where it is bound the constant is put in its place; run by itself it would fail.
PREPARED = b"SELECT pg_catalog.current_setting('trunkline.lsn') AS \"trunkline.lsn\""

_LSN = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")
_SET = re.compile(
    rb"\s*set(?:\s+(?:session|(?P<local>local)))?\s+trunkline\.min_lsn\s*(?:=|\bto\b)\s*'(?P<token>[^']*)'[\s;]*",
    re.IGNORECASE,
)
_NOTHING = re.compile(rb"set (?:local )?trunkline\.min_lsn to default", re.IGNORECASE)
_SHOW = re.compile(rb"\s*show\s+trunkline\.lsn[\s;]*", re.IGNORECASE)


def is_shown(sql: bytes) -> bool:
    """Whether the answer to this is the token."""
    return sql == PREPARED or _SHOW.fullmatch(sql) is not None


def is_set(sql: bytes) -> bool:
    """Whether this takes a token, or is what is said in the place of that."""
    return _SET.fullmatch(sql) is not None or _NOTHING.fullmatch(sql) is not None


def token_set(sql: bytes) -> str | None:
    """The token that this takes, if it does."""
    found = _SET.fullmatch(sql)
    return None if found is None else found["token"].decode(errors="replace")


def nothing_set(sql: bytes) -> bytes:
    """What a server is told in the place of a SET with a token."""
    found = _SET.fullmatch(sql)
    return b"SET %bTO DEFAULT" % (b"LOCAL " * bool(found and found["local"]) + SETTING + b" ")


def shown(token: str) -> bytes:
    """The query that answers with this token, as SHOW would."""
    return f"SELECT '{token}'::pg_catalog.text AS \"trunkline.lsn\"".encode()


def token_of(positions: Mapping[int, int], shards: Sequence[str]) -> str:
    """Of what has been written where, by the numbers of the shards; without shards there is one without a name."""
    told = ((shards[number], _lsn(positions[number])) for number in sorted(positions) if number < len(shards))
    return ",".join(f"{name}:{text}" if name else text for name, text in told)


def _lsn(position: int) -> str:
    return "?" if position == UNKNOWN else f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


def positions_of(token: str, shards: Sequence[str]) -> dict[int, int]:
    """The same from a token; InvalidPosition if it is none of this database."""
    parts = token.split(",") if any(shards) else [token]
    return dict(_read(part.strip(), shards) for part in parts) if token.strip() else {}


def _read(part: str, shards: Sequence[str]) -> tuple[int, int]:
    name, _, text = part.rpartition(":")
    found = _LSN.fullmatch(text)
    if name not in shards:
        text = f'shard "{name}" of the token does not exist' if name else "the token names no shard"
        raise InvalidPosition(f'invalid value for parameter "trunkline.min_lsn": {text}', hint=HINT)
    if found is None and text != "?":
        raise InvalidPosition(f'invalid value for parameter "trunkline.min_lsn": "{part}"', hint=HINT)
    return list(shards).index(name), UNKNOWN if found is None else (int(found[1], 16) << 32) + int(found[2], 16)


def raised(positions: Mapping[int, int] | None, others: Mapping[int, int]) -> dict[int, int]:
    """The later of each; what is not known may be later than anything."""
    found = dict(positions or {})
    for number, position in others.items():
        before = found.get(number, 0)
        found[number] = UNKNOWN if UNKNOWN in (before, position) else max(before, position)
    return found


def without_token(settings: Sequence[tuple[bytes, bytes]]) -> tuple[tuple[tuple[bytes, bytes], ...], str]:
    """The settings of a startup packet that a server is told, and the token among them."""
    tokens: Iterator[bytes] = (value for name, value in settings if name.lower() == SETTING)
    token = next(tokens, b"").decode(errors="replace")
    return tuple(item for item in settings if item[0].lower() != SETTING), token
