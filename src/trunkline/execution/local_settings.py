"""`SELECT set_config('name', 'value', true)`: a setting of one transaction that all its servers have to be told.

Rule: only texts of this one form are said again elsewhere, with the values of their parameters written into them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from trunkline.protocol.messages import TEXT
from trunkline.protocol.params import quote

_TOKEN = re.compile(
    rb"(?P<blank>\s+|--[^\r\n]*|/\*(?:[^*/]|\*(?!/)|/(?!\*))*\*/)|(?P<literal>'(?:[^'\\]|'')*')|(?P<number>\$[0-9]+)"
    rb"|(?P<word>[a-z_][a-z0-9_]*|::|[(),.;])",
    re.IGNORECASE,
)
_FORM = re.compile(
    rb"select (?:(?:pg_catalog \. )?set_config \( V (?::: text )?, V (?::: text )?, true \) (?:as \w+ )?"
    rb"(?:, (?=\w)|(?=;|$)))+(?:; )?".replace(b"V", rb"(?:''|\$[0-9]+)")
)
_VARCHAR, _UNKNOWN = 1043, 705


def is_of_settings(sql: bytes) -> bool:
    """Whether the text, whatever its values, does nothing but set something until the end of its transaction."""
    words: list[bytes] = []
    at = 0
    while at < len(sql):
        token = _TOKEN.match(sql, at)
        if token is None:
            return False
        at = token.end()
        if token["literal"] is not None:
            words.append(b"''")
        elif token["blank"] is None:
            words.append(token[0].lower())
    return _FORM.fullmatch(b"".join(word + b" " for word in words)) is not None


def with_values(sql: bytes, types: Sequence[int], values: Sequence[bytes | None]) -> bytes | None:
    """A text of that form with the values of a call written into it; None where it is none, or they are not texts."""
    if not is_of_settings(sql) or any(oid not in (0, TEXT, _VARCHAR, _UNKNOWN) for oid in types):
        return None

    def written(token: re.Match[bytes]) -> bytes:
        if token["number"] is None:
            return token[0]
        value = values[int(token["number"][1:]) - 1]
        return b"NULL" if value is None else quote(value)

    try:
        return _TOKEN.sub(written, sql)
    except IndexError:
        return None
