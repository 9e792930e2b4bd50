"""The values of the section [pgbouncer] as our kinds read them; BadValue for what PgBouncer refuses.

Settings that PgBouncer does not have are ours, and are read as we read them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from trunkline.config.address import BadValue
from trunkline.config.global_settings import Settings
from trunkline.config.kinds import BOOL, INT_MAX
from trunkline.config.pgbouncer import numbers
from trunkline.config.pgbouncer.inventory import INTEGERS, LISTS, SECONDS, WORDS
from trunkline.config.table import specs

_UNSPOKEN = ("tlsv1.0", "tlsv1.1")
_PROTOCOLS = {"default": "secure", "legacy": "all", "tlsv1": "tlsv1.2,tlsv1.3"}
_SWITCHES = frozenset(key for key, (_, spec) in specs(Settings).items() if spec.kind is BOOL)


def read_value(key: str, text: str) -> str:
    """The value of a setting as our kind of it reads it."""
    if key in _SPECIAL:
        return _SPECIAL[key](text)
    return next((read(text) for table, read in _READERS if key in table), text)


def lost_protocols(key: str, text: str) -> str:
    """Those named there that are not spoken any more."""
    return ", ".join(word for word in _words(text) if word in _UNSPOKEN) if key.endswith("_tls_protocols") else ""


def _integer(text: str) -> str:
    return str(numbers.whole(text))


def _switch(text: str) -> str:
    return str(int(numbers.whole(text) != 0))


def _seconds(text: str) -> str:
    return f"{numbers.seconds(text):.6f}".rstrip("0").rstrip(".")


def _mode(text: str) -> str:
    number = numbers.whole(text)
    if not 0 <= number <= 0o777:
        raise BadValue("must be a mode from 0 to 0777", "an octal number begins with 0")
    return f"0{number:o}"


def _verbosity(text: str) -> str:
    return str(min(max(numbers.whole(text), 0), 3))


def _packet_size(text: str) -> str:
    # It is unsigned there, and -1 its highest value.
    return str(min(numbers.whole(text) & 0xFFFFFFFF, INT_MAX))


def _protocols(text: str) -> str:
    words = [_PROTOCOLS.get(word, word) for word in _words(text) if word not in _UNSPOKEN]
    if not words:
        raise BadValue("TLS below 1.2 is not spoken", "write secure")
    return ", ".join(words)


def _words(text: str) -> list[str]:
    return list(filter(None, re.split(r"[,:\s]+", text.lower())))


_SPECIAL: Mapping[str, Callable[[str], str]] = {
    "client_tls_protocols": _protocols,
    "max_packet_size": _packet_size,
    "server_tls_protocols": _protocols,
    "unix_socket_mode": _mode,
    "verbose": _verbosity,
} | dict.fromkeys(_SWITCHES & INTEGERS.keys(), _switch)
_READERS: tuple[tuple[Mapping[str, str], Callable[[str], str]], ...] = (
    (INTEGERS, _integer),
    (SECONDS, _seconds),
    (WORDS, str.lower),
    (LISTS, numbers.names),
)
