"""Any text has a fingerprint within its bounds, and one that is written anew from its tokens has the same.

What is written anew has other blanks, comments and letters in the other case, and the same literals in the same order.
Input: a byte a piece of SQL, or any bytes behind a 255; the first bit says how backslashes are read.
"""

from __future__ import annotations

from tests.fuzz.reader import Reader
from tests.fuzz.targets.lexer import write
from trunkline.routing.text.fingerprint import Fingerprint
from trunkline.routing.text.tokens import tokens_of

REUSED = Fingerprint()


def check(data: bytes) -> None:
    reader = Reader(data)
    standard_strings = bool(reader.byte() & 1)
    text = write(reader)
    REUSED.read(text, standard_strings)
    check_bounds(text, REUSED)
    if REUSED.cacheable and b"\0" not in text:
        check_rewritten(text, standard_strings)


def check_bounds(text: bytes, found: Fingerprint) -> None:
    at = 0
    for start, end, _ in found.literals:
        assert at <= start < end <= len(text)
        assert found.ordinal_at(start) is not None
        at = end
    assert found.key_bytes == len(found.key)
    if found.hint is not None:
        start, end = found.hint
        assert text[:start].endswith(b"trunkline:") and text[end:].startswith(b"*/")


def check_rewritten(text: bytes, standard_strings: bool) -> None:
    parts = []
    for kind, start, end in tokens_of(text, standard_strings):
        token = text[start:end]
        parts.append(token.swapcase() if kind == "word" else token)
    one = Fingerprint(text, standard_strings)
    other = Fingerprint(b" /* - */ ".join(parts) + b" --", standard_strings)
    assert (one.key, one.hash) == (other.key, other.hash), text
    kept, again = (
        [source[a:b] for a, b, _ in found.literals]
        for source, found in ((text, one), (b" /* - */ ".join(parts), other))
    )
    assert kept == again, text
