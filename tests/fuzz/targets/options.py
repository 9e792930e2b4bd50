"""Any ``options`` of a startup packet are settings with names, or a refusal; words that were escaped come back whole.

Input: the bytes of the value.
"""

from __future__ import annotations

import contextlib
import re

from trunkline import errors
from trunkline.protocol.options import parse_options, split_options

_special = re.compile(rb"([\\ \t\n\v\f\r])")


def check(data: bytes) -> None:
    words = split_options(data)
    assert sum(map(len, words)) <= len(data)
    assert split_options(b" ".join(map(escape, words))) == [word for word in words if word]
    with contextlib.suppress(errors.InvalidStartupOption):
        settings = parse_options(data)
        assert all(name for name, _ in settings)
        # The longest answer of one byte is that of -d: a handful of settings.
        assert len(settings) <= 5 * len(data)


def escape(word: bytes) -> bytes:
    return _special.sub(rb"\\\1", word)
