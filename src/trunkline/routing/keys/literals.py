"""What a literal says: from its token in SQL to the text that PostgreSQL's input functions would be given.

KeyUnknown where that takes more than the token.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from trunkline.routing.keys.sharding import KeyUnknown

_PART = re.compile(rb"'((?:[^']|'')*+)'")
_ESCAPED_PART = re.compile(rb"'((?:[^'\\]|''|\\.)*+)'", re.DOTALL)
_GAP = re.compile(rb"(?:\s|--[^\n\r]*)*+")  # between two parts
_ESCAPE = re.compile(
    rb"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|([^uU]))|''", re.DOTALL
)
_UNICODE_ESCAPE = re.compile(rb"\\(?:\+([0-9A-Fa-f]{6})|([0-9A-Fa-f]{4})|\\)")
_CONTROLS = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_GAP = re.compile(rb"(?:\s|--[^\n\r]*)*")  # between two parts


def text_of(token: bytes, form: str) -> bytes:
    """The text of a string's token; `form` is what its fingerprint calls it."""
    reader = _READERS.get(form)
    if reader is None:
        raise KeyUnknown(f"the value of a {form} literal")
    try:
        return reader(token)
    except ValueError as error:
        raise KeyUnknown(f"the value of a {form} literal: {error}") from error


def _content(token: bytes, part: re.Pattern[bytes]) -> bytes:
    """What stands in the quotes of a string and of the lines that it goes on in."""
    at, parts = token.index(b"'"), []
    while found := part.match(token, at):
        parts.append(found[1])
        between = _GAP.match(token, found.end())
        at = between.end() if between else len(token)
    return b"".join(parts)


def _plain(token: bytes) -> bytes:
    return _content(token, _PART).replace(b"''", b"'")


def _escaped(token: bytes) -> bytes:
    text = _ESCAPE.sub(_unescape, _content(token, _ESCAPED_PART))
    if b"\0" in text:
        raise KeyUnknown("a zero byte")
    return text


def _unescape(found: re.Match[bytes]) -> bytes:
    octal, hexadecimal, short, long, other = found.groups()
    if octal is not None:
        return bytes([int(octal, 8) & 0xFF])
    if hexadecimal is not None:
        return bytes([int(hexadecimal, 16)])
    if short or long:
        return _character(short or long)
    return b"'" if other is None else _CONTROLS.get(other, other)


def _character(digits: bytes) -> bytes:
    """A surrogate is half of a character, and has no UTF-8: a ValueError."""
    return chr(int(digits, 16)).encode()


def _dollar(token: bytes) -> bytes:
    size = token.index(b"$", 1) + 1
    return token[size:-size]


def _unicode(token: bytes) -> bytes:
    text = _content(token, _PART).replace(b"''", b"'")
    if _UNICODE_ESCAPE.sub(b"", text).count(b"\\"):
        raise KeyUnknown("an escape that is none")
    return _UNICODE_ESCAPE.sub(_unescape_unicode, text)


def _unescape_unicode(found: re.Match[bytes]) -> bytes:
    return _character(found[1] or found[2]) if found[1] or found[2] else b"\\"


_READERS: dict[str, Callable[[bytes], bytes]] = {
    "plain": _plain,
    "escaped": _escaped,
    "dollar": _dollar,
    "unicode": _unicode,
}
