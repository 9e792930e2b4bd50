"""Whether there is memory left for one more client: newcomers are refused before the kernel ends the whole process.

Measured is what would be counted against us: with `memory_limit` what this process holds in memory; else, where the
cgroup that it is in has a limit, what that counts, without the pages of files that it could give back.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from trunkline.errors import TrunklineError

PERIOD_S = 0.25  # of one look for all who come
FULL = 0.9  # of the limit: the rest is for those who are in
_PAGE = os.sysconf("SC_PAGE_SIZE")
_FILES = {  # of a hierarchy: its limit, its use, what of that is pages of files that are not in use
    "": ("memory.max", "memory.current", "inactive_file"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


class MemoryShort(TrunklineError):
    """The memory that this process may use is nearly used up."""

    code = "TL0311"
    sqlstate = "53200"
    severity = "FATAL"


class MemoryGuard:
    """Asks at most every PERIOD_S; `root` is where /proc and /sys are."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._statm = root / "proc/self/statm"
        self._groups = list(_groups(root))
        self._until = 0.0
        self._asked = -1
        self._short = False

    def is_short(self, limit: int, now: float) -> bool:
        """Whether nine tenths are used of `limit`, or, if that is 0, of what the cgroup allows."""
        if now >= self._until or limit != self._asked:
            self._until, self._asked = now + PERIOD_S, limit
            self._short = self._resident() >= FULL * limit if limit else any(map(_is_full, self._groups))
        return self._short

    def _resident(self) -> int:
        try:
            return int(self._statm.read_text().split()[1]) * _PAGE
        except (OSError, ValueError, IndexError):
            return 0


Group = tuple[Path, Path, Path, str]


def _groups(root: Path) -> list[Group]:
    """Of each hierarchy that counts memory, the files of the group we are in that has a limit."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers not in _FILES:
            continue
        mounted = root / "sys/fs/cgroup" / controllers
        limit, used, reclaimable = _FILES[controllers]
        for place in (mounted / path.lstrip("/"), mounted):  # in a container the group may be the root of what it sees
            if (place / limit).is_file():
                found.append((place / limit, place / used, place / "memory.stat", reclaimable))
                break
    return found


def _is_full(group: Group) -> bool:
    limit_file, used_file, stat_file, reclaimable = group
    try:
        limit = limit_file.read_text().strip()
        if limit == "max":
            return False
        spare = re.search(rf"^{reclaimable} (\d+)$", stat_file.read_text(), re.MULTILINE)
        used = int(used_file.read_text()) - (int(spare[1]) if spare else 0)
        return used >= FULL * int(limit)
    except (OSError, ValueError):
        return False
