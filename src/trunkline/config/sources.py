"""Files as text, or the diagnostic that says why not; and the values that did not come from TOML."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from trunkline.config.diagnostics import Diagnostic


class Text(str):
    """A value from a source without types: the environment, a URL. Kinds read it with ``from_text``."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Unreadable(Exception):
    """A file cannot be used; says where and why."""

    diagnostic: Diagnostic


def read_text(path: Path) -> str:
    """A file's text with Unix line ends, or Unreadable."""
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise Unreadable(Diagnostic(str(path), 0, 0, _reason(error))) from None
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise Unreadable(_not_utf8(path, data, error)) from None


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return f"cannot be read: {os.strerror(error.errno).lower()}"
    return "cannot be read: not a file name"


def _not_utf8(path: Path, data: bytes, error: UnicodeDecodeError) -> Diagnostic:
    # A byte order mark was cut off before decoding, and the offset does not count it.
    start = error.start + (3 if data.startswith(b"\xef\xbb\xbf") and error.object != data else 0)
    before = data[:start]
    column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
    message = f"byte 0x{data[start]:02x} is not UTF-8"
    return Diagnostic(str(path), before.count(b"\n") + 1, column, message, "save the file as UTF-8")
