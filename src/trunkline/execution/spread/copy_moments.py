"""Words of COPY data that mean the time at which they are read: `now`, `today`, `tomorrow`, `yesterday`.

Each shard would read them at a time of its own, so a row that has one in a column of a date or time is not copied to
several. Data without these letters, which is nearly all, are only searched for them.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from trunkline.execution.spread.copy_fields import unescaped, unquoted
from trunkline.routing.spreading.moments import says_now

_WORDS = (b"now", b"today", b"tomorrow", b"yesterday")
_HIDES = re.compile(rb"\\(?:[0-7]|x[0-9a-f])")  # letters of text format that are written as numbers


@dataclass(frozen=True, slots=True)
class Moments:
    """Of one COPY: the places of its columns of dates and times in a row, and the marks of its data."""

    columns: Collection[int]
    is_csv: bool
    delimiter: bytes
    quote: bytes
    escape: bytes

    def may_be_in(self, data: bytes | bytearray) -> bool:
        """Whether one of the words may be there, in whatever column."""
        lower = data.lower()
        return any(word in lower for word in _WORDS) or (not self.is_csv and _HIDES.search(lower) is not None)

    def are_in(self, row: bytes) -> bool:
        """Whether a row, without its newline, has such a word where it means the time."""
        fields = self._of_csv(row) if self.is_csv else self._of_text(row)
        return any(says_now(fields[one].decode("latin-1")) for one in self.columns if one < len(fields))

    def _of_text(self, row: bytes) -> list[bytes]:
        found, start, at = [], 0, 0
        while at < len(row):
            if row[at : at + 1] == self.delimiter:
                found.append(unescaped(row[start:at]))
                start = at + 1
            at += 2 if row[at] == 0x5C else 1
        return [*found, unescaped(row[start:])]

    def _of_csv(self, row: bytes) -> list[bytes]:
        found, start, at, inside = [], 0, 0, False
        while at < len(row):
            mark = row[at : at + 1]
            if inside and mark == self.escape and row[at + 1 : at + 2] in (self.escape, self.quote):
                at += 2
                continue
            if mark == self.quote:
                inside = not inside
            elif mark == self.delimiter and not inside:
                found.append(unquoted(row[start:at], self.quote[0], self.escape[0]))
                start = at + 1
            at += 1
        return [*found, unquoted(row[start:], self.quote[0], self.escape[0])]
