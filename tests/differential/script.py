"""A message script, as values: who says what, and up to where each answer is read.

A step is one line. Messages are kept until a `Read` of the same client sends them, all in one write.
"""

from __future__ import annotations

from dataclasses import dataclass, field

NOTHING, END = "nothing", "end"  # of Read.until: send only; read until the peer closes


@dataclass(frozen=True, slots=True)
class Say:
    """A message, to be sent with those before and behind it."""

    line: int
    client: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Read:
    """Send what was said, then read until `count` frames of the type `until` have come; of any type if it is empty."""

    line: int
    client: int
    until: str = "Z"
    count: int = 1


@dataclass(frozen=True, slots=True)
class Cancel:
    """A CancelRequest with this client's key."""

    line: int
    client: int


@dataclass(frozen=True, slots=True)
class Vanish:
    """The client's connection is reset."""

    line: int
    client: int


@dataclass(frozen=True, slots=True)
class Until:
    """Wait until this query, asked at the server by somebody else, answers true."""

    line: int
    client: int
    sql: str


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A statement run at the server by somebody else."""

    line: int
    client: int
    sql: str


Step = Say | Read | Cancel | Vanish | Until | Elsewhere


@dataclass(slots=True)
class Script:
    """One conversation, of one client or of two."""

    family: str
    title: str
    file: str
    line: int
    user: str = "diff_owner"
    startup: dict[int, dict[str, str]] = field(default_factory=dict)
    given: list[str] = field(default_factory=list)
    modes: tuple[str, ...] = ()
    requires: list[tuple[str, int]] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    silent: bool = False  # PostgreSQL itself leaves something unanswered
    steps: list[Step] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The name under which tests and the list of differences speak of it."""
        return f"{self.family}/{self.title.replace(' ', '-')}"

    @property
    def clients(self) -> list[int]:
        return sorted({step.client for step in self.steps} | set(self.startup) | {1})

    def fits(self, mode: str, major: int) -> bool:
        """Whether it can be run in this pool mode, on this major version of PostgreSQL."""
        return (not self.modes or mode in self.modes) and all(COMPARISONS[sign](major, n) for sign, n in self.requires)


COMPARISONS = {">=": int.__ge__, "<": int.__lt__}
