"""The text form of values, read exactly as PostgreSQL's input functions read it.

1. `NotCoercible` only for what every supported PostgreSQL refuses; whoever gets the statement says so.
2. Where one version takes a form and another refuses it (hexadecimal integers, digits with underscores: 16), it is read
   as the one that takes it does: the other refuses the statement wherever it goes.
3. What depends on a setting, a zone, the clock or the C library is `KeyUnknown`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from decimal import Decimal

from trunkline.routing.keys.sharding import KeyUnknown, NotCoercible, Value
from trunkline.routing.keys.time_forms import read_date, read_timestamp, read_timestamptz

SPACE = " \t\n\v\f\r"  # what isspace() knows in ASCII
INTEGER_LIMITS: Mapping[str, tuple[int, int]] = {
    name: (-(1 << bits - 1), (1 << bits - 1) - 1) for name, bits in (("int2", 16), ("int4", 32), ("int8", 64))
}
NUMERIC_NAN = Decimal("NaN")
# Longer numbers are PostgreSQL's to read: they are no keys, and their digits would cost us time.
MAX_NUMERIC_DIGITS = 1000

_BASED_INTEGER = re.compile(r"([+-]?)0(?:[xX]((?:_?[0-9a-fA-F])+)|[oO]((?:_?[0-7])+)|[bB]((?:_?[01])+))")
_DIGITS = r"[0-9](?:_?[0-9])*"
_NUMERIC = re.compile(rf"[+-]?(?:{_DIGITS}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})(?:[eE][+-]?{_DIGITS})?")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INFINITY = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE)
_UUID = re.compile(r"(\{)?(?:[0-9a-fA-F]{4}-?){7}[0-9a-fA-F]{4}(?(1)\})")
_HEX_BYTES = re.compile(r"\\x(?:[ \n\t\r]*[0-9a-fA-F]{2})*[ \n\t\r]*")
_ESCAPED_BYTES = re.compile(rb"\\(?:(\\)|([0-3][0-7][0-7]))|\\")
_BOOLEANS: Mapping[str, bool] = {
    **{word[:n]: word in ("true", "yes") for word in ("true", "false", "yes", "no") for n in range(1, len(word) + 1)},
    "on": True,
    "of": False,
    "off": False,
    "1": True,
    "0": False,
}


def read_integer(data: bytes, type: str) -> int:
    """Digits with a sign, perhaps with underscores between them (int() has the same rules), or to another base."""
    try:
        number = int(data)
    except ValueError:
        number = _based_integer(_number_text(data))
    low, high = INTEGER_LIMITS[type]
    if not low <= number <= high:
        raise NotCoercible(f"out of range for {type}")
    return number


def _based_integer(text: str) -> int:
    found = _BASED_INTEGER.fullmatch(text)
    if found is None:
        raise NotCoercible("not an integer")
    base, digits = next((base, digits) for base, digits in zip((16, 8, 2), found.groups()[1:], strict=True) if digits)
    number = int(digits.lstrip("_"), base)
    return -number if found[1] == "-" else number


def read_numeric(data: bytes) -> Decimal:
    text = _number_text(data)
    if _NUMERIC.fullmatch(text):
        return _decimal(text)
    if text.lower() == "nan":
        return NUMERIC_NAN
    if _INFINITY.fullmatch(text):
        return Decimal(text)
    if _BASED_INTEGER.fullmatch(text):
        return Decimal(_based_integer(text))
    raise NotCoercible("not a number")


def _decimal(text: str) -> Decimal:
    exponent = re.split("[eE]", text)[1:]
    if exponent and abs(int(exponent[0])) > MAX_NUMERIC_DIGITS:
        raise KeyUnknown("a very long number")
    return Decimal(text)  # exact, whatever the precision of the context


def read_float(data: bytes, type: str) -> float:
    """A number whose digits are decimal; of NaN and hexadecimal forms only the plain `NaN`."""
    text = _number_text(data)
    if _FLOAT.fullmatch(text):
        value = float(text)
        if type == "float4":
            value = float4_from_text(text, value)
        _check_range(value, text)
        return value
    if text.lower() == "nan":
        return float("nan")
    if _INFINITY.fullmatch(text):
        return float(text)
    if re.fullmatch(r"[+-]?(?:0[xX].*|nan.*)", text, re.IGNORECASE | re.DOTALL):
        raise KeyUnknown("a form of the C library's")
    raise NotCoercible("not a number")


def single(value: float) -> float:
    """Rounded to a float4; OverflowError if it has none."""
    rounded: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return rounded


def float4_from_text(text: str, value: float) -> float:
    """Rounded once, as strtof does: half-way between two float4, the digits that a float8 has no room for decide."""
    if value and abs(value) < 2.0**-126:
        raise KeyUnknown("less than a float4 holds exactly")
    try:
        rounded = single(value)
    except OverflowError:
        raise NotCoercible("out of range for float4") from None
    half_way = struct.unpack("<Q", struct.pack("<d", value))[0] & 0x1FFFFFFF == 0x10000000
    if half_way and Decimal(text) != Decimal(value):
        raise KeyUnknown("half-way between two float4")
    return rounded


def _check_range(value: float, text: str) -> None:
    has_digits = re.search("[1-9]", re.split("[eE]", text)[0]) is not None
    if value in (float("inf"), float("-inf")) or (value == 0 and has_digits):
        raise NotCoercible("out of range for a float")


def read_bool(data: bytes) -> bool:
    """Beginnings of true, false, yes and no; on and off; 1 and 0."""
    found = _BOOLEANS.get(_ascii(data).strip(SPACE).lower())
    if found is None:
        raise NotCoercible("not a boolean")
    return found


def read_uuid(data: bytes) -> bytes:
    """Digits in groups of four with or without a hyphen between, in braces or not; nothing around them."""
    text = _ascii(data)
    if _UUID.fullmatch(text) is None:
        raise NotCoercible("not a uuid")
    return bytes.fromhex(text.strip("{}").replace("-", ""))


def read_bytea(data: bytes) -> bytes:
    if data.startswith(b"\\x"):
        if _HEX_BYTES.fullmatch(_ascii(data)) is None:
            raise NotCoercible("not hexadecimal")
        return bytes.fromhex(_ascii(data[2:]))
    return _ESCAPED_BYTES.sub(_unescaped, data)


def _unescaped(found: re.Match[bytes]) -> bytes:
    if found[1]:
        return b"\\"
    if found[2]:
        return bytes((int(found[2], 8),))
    raise NotCoercible("not an escape of bytea")


def read_text(data: bytes) -> str:
    if b"\0" in data:
        raise NotCoercible("a text has no zero byte")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise KeyUnknown("not UTF-8") from None


def read_bpchar(data: bytes) -> str:
    """Blanks behind it are nothing."""
    return read_text(data).rstrip(" ")


def _number_text(data: bytes) -> str:
    if len(data) > MAX_NUMERIC_DIGITS:
        raise KeyUnknown("a very long number")
    return _ascii(data).strip(SPACE)


def _ascii(data: bytes) -> str:
    """What is a space beyond ASCII, the server's locale decides."""
    try:
        return data.decode("ascii")
    except UnicodeDecodeError:
        raise KeyUnknown("not ASCII") from None


READERS: Mapping[str, Callable[[bytes], Value]] = {
    "int2": lambda data: read_integer(data, "int2"),
    "int4": lambda data: read_integer(data, "int4"),
    "int8": lambda data: read_integer(data, "int8"),
    "numeric": read_numeric,
    "float4": lambda data: read_float(data, "float4"),
    "float8": lambda data: read_float(data, "float8"),
    "bool": read_bool,
    "text": read_text,
    "varchar": read_text,
    "bpchar": read_bpchar,
    "uuid": read_uuid,
    "bytea": read_bytea,
    "date": read_date,
    "timestamp": read_timestamp,
    "timestamptz": read_timestamptz,
}
