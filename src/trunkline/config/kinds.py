"""The kinds of value a setting can have: how each is read from TOML, read from text, and shown as PgBouncer shows it.

A kind is three small functions in a row of a table; there is no type switch anywhere else. Reading raises ``BadValue``.
TOML is typed, so ``"20"`` for a number is an error there; text (a URL, the environment, pgbouncer.ini) is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from trunkline.config.address import BadValue, ListenAddress, read_listen_address
from trunkline.config.diagnostics import did_you_mean

INT_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Limits:
    """What is allowed beyond the kind: bounds for numbers, words for choices."""

    low: float = 0
    high: float = INT_MAX
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kind:
    """``called`` completes the sentence "this must be ...". ``is_path``: relative to the file it stands in."""

    called: str
    from_toml: Callable[[object, Limits], Any]
    from_text: Callable[[str, Limits], Any]
    show: Callable[[Any], str]
    is_path: bool = False
    is_secret: bool = False


def needs(value: object, types: tuple[type, ...], called: str) -> None:
    """Raise BadValue unless a TOML value is of these types."""
    # bool is an int to Python, but not to who writes `pool_size = true`.
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise BadValue(f"must be {called}, not {_described(value)}", _unquoted(value, types))


def _described(value: object) -> str:
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "a string",
        list: "an array",
        dict: "a table",
    }
    return names.get(type(value), "a date or time")


def _unquoted(value: object, types: tuple[type, ...]) -> str:
    if isinstance(value, str) and str not in types and re.fullmatch(r"[0-9.]+|true|false", value):
        return f"write {value} without quotes"
    if str in types and isinstance(value, bool | int | float):
        return f'write "{str(value).lower()}" in quotes'
    return ""


def _bounded(value: float, limits: Limits) -> float:
    if not limits.low <= value <= limits.high:
        raise BadValue(f"must be from {_number(limits.low)} to {_number(limits.high)}")
    return value


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))


# --- booleans, numbers ------------------------------------------------------------------------------------------

_WORDS = {"0": False, "1": True, "false": False, "true": True, "off": False, "on": True, "no": False, "yes": True}


def _bool_toml(value: object, limits: Limits) -> bool:
    if value not in (0, 1) or not isinstance(value, bool | int):
        raise BadValue(
            "must be true or false", "" if not isinstance(value, str) else "write true or false without quotes"
        )
    return bool(value)


def _bool_text(text: str, limits: Limits) -> bool:
    if text.strip().lower() not in _WORDS:
        raise BadValue("must be 0 or 1")
    return _WORDS[text.strip().lower()]


def _int_toml(value: object, limits: Limits) -> int:
    needs(value, (int,), "a whole number")
    assert isinstance(value, int)
    return int(_bounded(value, limits))


def _int_text(text: str, limits: Limits) -> int:
    if not re.fullmatch(r"\s*-?[0-9]{1,18}\s*", text, re.ASCII):
        raise BadValue("must be a whole number")
    return int(_bounded(int(text), limits))


def _mode_toml(value: object, limits: Limits) -> int:
    if isinstance(value, str):
        return _mode_text(value, limits)
    needs(value, (int,), "an octal mode")
    assert isinstance(value, int)
    if not 0 <= value <= 0o777:
        raise BadValue("must be a mode from 0o000 to 0o777", "TOML writes octal numbers with 0o, as in 0o700")
    return value


def _mode_text(text: str, limits: Limits) -> int:
    if not re.fullmatch(r"0?o?[0-7]{1,3}", text.strip()):
        raise BadValue('must be an octal mode, as in "0777"')
    return int(text.strip().replace("o", ""), 8)


# --- numbers with a unit ----------------------------------------------------------------------------------------

_QUANTITY = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([A-Za-z]*)\s*", re.ASCII)
_SECONDS = {"": 1.0, "us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_MILLISECONDS = {"": 1.0, "us": 1e-3, "ms": 1.0, "s": 1e3, "min": 6e4, "h": 3.6e6, "d": 8.64e7}
_BYTES = {"": 1.0, "B": 1.0, "kB": 1024.0, "MB": 1024.0**2, "GB": 1024.0**3}


def quantity(text: str, units: dict[str, float], called: str) -> float:
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise BadValue(f"must be {called}")
    if match[2] not in units:
        near = did_you_mean(match[2], [unit for unit in units if unit])
        raise BadValue(f"unknown unit `{match[2]}`", near or "units are " + ", ".join(filter(None, units)))
    return float(match[1]) * units[match[2]]


def _quantity_kind(called: str, units: dict[str, float], finish: Callable[[float], float]) -> Kind:
    def from_text(text: str, limits: Limits) -> float:
        return finish(_bounded(quantity(text, units, called), limits))

    def from_toml(value: object, limits: Limits) -> float:
        if isinstance(value, str):
            return from_text(value, limits)
        needs(value, (int, float), called)
        assert isinstance(value, int | float)
        return finish(_bounded(value, limits))

    return Kind(called, from_toml, from_text, _number)


# --- words ------------------------------------------------------------------------------------------------------


def _text_toml(value: object, limits: Limits) -> str:
    needs(value, (str,), "a string")
    return _text(str(value), limits)


def _text(text: str, limits: Limits) -> str:
    if "\0" in text:
        raise BadValue("must not hold a zero byte")
    return text


def _choice(text: str, limits: Limits) -> str:
    if text in limits.choices:
        return text
    listed = "it is one of " + ", ".join(limits.choices)
    raise BadValue(f"unknown value `{text}`", did_you_mean(text, limits.choices) or listed)


def _choice_toml(value: object, limits: Limits) -> str:
    return _choice(_text_toml(value, limits), limits)


def _choices(text: str, limits: Limits) -> str:
    """One or several words with commas, kept as written."""
    for word in _names_text(text, limits):
        _choice(word, limits)
    return text


def _choices_toml(value: object, limits: Limits) -> str:
    return _choices(_text_toml(value, limits), limits)


def _names_toml(value: object, limits: Limits) -> tuple[str, ...]:
    if isinstance(value, str):
        return _names_text(value, limits)
    needs(value, (list,), "an array of strings")
    assert isinstance(value, list)
    return tuple(_name(item, limits) for item in value)


def _name(item: object, limits: Limits) -> str:
    name = _text_toml(item, limits).strip()
    if not name:
        raise BadValue("must not hold an empty name")
    return name


def _names_text(text: str, limits: Limits) -> tuple[str, ...]:
    return tuple(_name(item, limits) for item in text.split(",")) if text.strip() else ()


def _listen_toml(value: object, limits: Limits) -> ListenAddress | None:
    return _listen_text(_text_toml(value, limits), limits)


def _listen_text(text: str, limits: Limits) -> ListenAddress | None:
    return read_listen_address(text.strip()) if text.strip() else None


def _show_mode(value: int) -> str:
    return f"{value:04o}"


def _mask(value: object) -> str:
    return "***" if value else ""


BOOL = Kind("true or false", _bool_toml, _bool_text, lambda value: str(int(value)))
INT = Kind("a whole number", _int_toml, _int_text, str)
MODE = Kind("an octal mode", _mode_toml, _mode_text, _show_mode)
SECONDS = _quantity_kind('seconds, or a string as in "200ms", "5s", "1min"', _SECONDS, float)
MILLISECONDS = _quantity_kind('milliseconds, or a string as in "200ms", "5s"', _MILLISECONDS, int)
BYTES = _quantity_kind('bytes, or a string as in "64kB", "1MB"', _BYTES, int)
TEXT = Kind("a string", _text_toml, _text, str)
PATH = Kind("a path", _text_toml, _text, str, is_path=True)
SECRET = Kind("a string", _text_toml, _text, _mask, is_secret=True)
CHOICE = Kind("a word", _choice_toml, _choice, str)
CHOICES = Kind("words", _choices_toml, _choices, str)
NAMES = Kind("an array of strings", _names_toml, _names_text, ", ".join)
LISTEN = Kind("an address and a port", _listen_toml, _listen_text, str)
