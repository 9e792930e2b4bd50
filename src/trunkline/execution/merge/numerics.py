"""Numeric values as PostgreSQL has them (numeric.c): a whole number with so many digits behind the point.

Quotients and roots have PostgreSQL's own number of digits, and its rounding, so that an average made of sums and counts
is the same to the last digit.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

_MIN_SIGNIFICANT = 16
_MAX_SCALE = 1000
_SIGNS = {0xC000: "NaN", 0xD000: "Infinity", 0xF000: "-Infinity"}


@dataclass(frozen=True, slots=True)
class Numeric:
    """`digits` / 10 ** `scale`; or `special` is NaN, Infinity or -Infinity."""

    digits: int = 0
    scale: int = 0
    special: str = ""


NAN = Numeric(special="NaN")


def from_binary(value: bytes) -> Numeric:
    """ValueError if it is none (numeric_recv)."""
    header = [int.from_bytes(value[at : at + 2], "big") for at in (0, 2, 4, 6)]
    count, weight, sign, scale = header
    if len(value) != 8 + 2 * count:
        raise ValueError("no numeric")
    if sign in _SIGNS:
        return Numeric(special=_SIGNS[sign])
    weight -= 0x10000 if weight & 0x8000 else 0
    digits = 0
    for at in range(8, len(value), 2):
        digits = digits * 10000 + int.from_bytes(value[at : at + 2], "big")
    shift = 4 * (weight - count + 1) + scale
    digits = digits * 10**shift if shift >= 0 else digits // 10**-shift
    return Numeric(-digits if sign == 0x4000 else digits, scale)


def to_text(number: Numeric) -> bytes:
    if number.special:
        return number.special.encode()
    text = str(abs(number.digits)).rjust(number.scale + 1, "0")
    if number.scale:
        text = f"{text[: -number.scale]}.{text[-number.scale :]}"
    return (("-" if number.digits < 0 else "") + text).encode()


def to_binary(number: Numeric) -> bytes:
    if number.special:
        sign = next(sign for sign, name in _SIGNS.items() if name == number.special)
        return bytes(4) + sign.to_bytes(2, "big") + bytes(2)
    digits, weight = _base_10000(number)
    while digits and digits[-1] == 0:
        digits.pop()
    parts = (len(digits), weight if digits else 0, 0x4000 if number.digits < 0 else 0, number.scale, *digits)
    return b"".join((part & 0xFFFF).to_bytes(2, "big") for part in parts)


def _base_10000(number: Numeric) -> tuple[list[int], int]:
    """The digits from the first that is not 0, and its weight."""
    whole = abs(number.digits) * 10 ** (-number.scale % 4)
    text = str(whole)
    text = text.rjust(-(-len(text) // 4) * 4, "0")
    digits = [int(text[at : at + 4]) for at in range(0, len(text), 4)] if whole else []
    return digits, len(digits) - 1 - -(-number.scale // 4)


def add(one: Numeric, other: Numeric) -> Numeric:
    """add_var; infinities of both signs are NaN."""
    if one.special or other.special:
        names = {one.special, other.special} - {""}
        return Numeric(special=names.pop()) if len(names) == 1 else NAN
    scale = max(one.scale, other.scale)
    return Numeric(_scaled(one, scale) + _scaled(other, scale), scale)


def _scaled(number: Numeric, scale: int) -> int:
    return int(number.digits * 10 ** (scale - number.scale))


def divided(one: Numeric, other: Numeric) -> Numeric:
    """numeric_div by a number that is above 0."""
    if one.special:
        return one
    scale = _scale_of_quotient(one, other)
    above, below = one.digits * 10 ** (scale + other.scale), other.digits * 10**one.scale
    quotient, rest = divmod(abs(above), below)
    quotient += 2 * rest >= below
    return Numeric(-quotient if above < 0 else quotient, scale)


def _scale_of_quotient(one: Numeric, other: Numeric) -> int:
    """select_div_scale."""
    (first, weight), (other_first, other_weight) = _leading(one), _leading(other)
    weight -= other_weight + (first <= other_first)
    return min(max(_MIN_SIGNIFICANT - weight * 4, one.scale, other.scale, 0), _MAX_SCALE)


def _leading(number: Numeric) -> tuple[int, int]:
    digits, weight = _base_10000(number)
    return (digits[0], weight) if digits else (0, 0)


def variance(total: Numeric, squares: Numeric, count: int, *, sample: bool, root: bool) -> Numeric | None:
    """numeric_stddev_internal: the variance, or its root, of values with this sum and sum of squares."""
    if count <= (1 if sample else 0):
        return None
    if total.special or squares.special:
        return NAN
    scale = total.scale * 2
    above = Numeric(count * _scaled(squares, scale) - total.digits**2, scale)
    if above.digits <= 0:
        return Numeric()
    found = divided(above, Numeric(count * (count - 1 if sample else count)))
    return _root(found) if root else found


def _root(number: Numeric) -> Numeric:
    """sqrt_var with the scale of the number itself."""
    return Numeric((isqrt(number.digits * 10 ** (number.scale + 2)) + 5) // 10, number.scale)
