"""How PgBouncer reads numbers and lists, and the same written as our kinds read it.

In the file a number is C's: octal after 0, hexadecimal after 0x, and nothing may follow it; units are not known. In
connection strings only the decimal number at the beginning counts, and without one it is 0.
"""

from __future__ import annotations

import math
import re

from trunkline.config.address import BadValue

_WHOLE = re.compile(r"([+-]?)(0[xX][0-9A-Fa-f]+|0[0-7]*|[1-9][0-9]*)", re.ASCII)
_LEADING = re.compile(r"\s*([+-]?[0-9]{1,18})", re.ASCII)
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)
LONGEST = 64


def whole(text: str) -> int:
    """A whole number as C's strtol reads it in base 0, with nothing behind it."""
    match = _WHOLE.fullmatch(text) if len(text) <= LONGEST else None
    if match is None:
        raise BadValue("must be a whole number", "without a unit, and without a comment behind it")
    digits = match[2].lower()
    base = 16 if digits.startswith("0x") else 8 if digits.startswith("0") else 10
    value = int(digits.removeprefix("0x"), base)
    return -value if match[1] == "-" else value


def seconds(text: str) -> float:
    """Seconds as C's strtod reads them."""
    if len(text) <= LONGEST and _DECIMAL.fullmatch(text):
        value = float(text)
    elif len(text) <= LONGEST and re.fullmatch(r"0[xX][0-9A-Fa-f]+", text):
        value = float(int(text, 16))
    else:
        raise BadValue("must be a number of seconds", "without a unit, and without a comment behind it")
    if value < 0 or not math.isfinite(value):
        raise BadValue("must not be negative" if value < 0 else "must be finite")
    return value


def leading(text: str) -> tuple[int, bool]:
    """The number at the beginning as C's atoi reads it, and whether that is all there is."""
    match = _LEADING.match(text)
    return (int(match[1]), match.end() == len(text)) if match else (0, False)


def names(text: str) -> str:
    """A list in which commas or spaces, or both, are between the names, with commas only."""
    return ", ".join(filter(None, re.split(r"[,\s]+", text)))
