"""Which server of a database is its primary, and which are its replicas: found out from what they say of themselves.

Pure. Whatever is heard of a server is judged together with what is known of the others and with a little memory:

1. What the settings call `primary` and `replicas` is only where to look.
2. A primary is believed only if it is not in recovery, has the newest timeline that any server of its cluster has ever
   shown, and nobody else claims that timeline. So there are never two, and the timeline of who is believed never goes
   back: every promotion begins a new timeline (PostgreSQL documentation, section 25.3.6).
3. In doubt nobody is believed: no primary is better than two.
4. A replica that is not known to follow the newest timeline is none: it may show rows that the primary never had.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum


class Role(StrEnum):
    """What a server says of itself."""

    UNKNOWN = ""
    PRIMARY = "primary"
    REPLICA = "replica"


class State(StrEnum):
    """What is made of it; only who is UP is believed."""

    UNSEEN = "unseen"
    UP = "up"
    UNREACHABLE = "unreachable"
    OTHER_SYSTEM = "other system"
    SAME_SERVER = "same server"
    OLD_TIMELINE = "old timeline"
    SPLIT_BRAIN = "split brain"


@dataclass(frozen=True, slots=True)
class Observation:
    """One answer of a server; positions in the WAL are byte counts, None where the server has none."""

    at: float
    in_recovery: bool
    timeline: int  # that it writes; of a replica, the newest that it is known to follow
    system: int  # the system identifier that all servers of a cluster share
    started: int  # the start of its postmaster, in us: two servers never have the same
    written: int | None = None
    received: int | None = None
    replayed: int | None = None
    replay_age_s: float | None = None  # since the commit of the last transaction that was replayed
    receiver_is_hidden: bool = False  # it streams, and its user may not see on which timeline

    def after(self, earlier: Observation | None) -> Observation:
        """With what is known of the same server from before: until it is started anew it goes to newer timelines only,
        and a replica that has lost its primary shows no more than the one of its last restartpoint."""
        if earlier is None or earlier.started != self.started or earlier.timeline <= self.timeline:
            return self
        return replace(self, timeline=earlier.timeline)

    @property
    def role(self) -> Role:
        return Role.REPLICA if self.in_recovery else Role.PRIMARY

    @property
    def position(self) -> int | None:
        return self.replayed if self.in_recovery else self.written


@dataclass(frozen=True, slots=True)
class Sight:
    """What is known of one server: its last answer, and why there is none now.

    One that is `alive` has not answered, but shows otherwise that it runs as it did: its last answer still counts.
    """

    last: Observation | None = None
    error: str = ""
    alive: bool = False
    silent: bool = False  # there was nothing, not even a refusal, for as long as a check waits

    @property
    def answered(self) -> Observation | None:
        return self.last if self.alive or not self.error else None


@dataclass(frozen=True, slots=True)
class Memory:
    """What must not be forgotten from one judgement to the next, even if nobody shows it any more."""

    system: int | None = None  # of the cluster that is ours
    timeline: int = 0  # the newest that it has shown
    holder: str = ""  # who was believed with that timeline
    started: int = 0  # and the start of that server


@dataclass(frozen=True, slots=True)
class Member:
    """One server and what is made of it; `why` says so in words, if it is UP why its last answer is not a new one."""

    name: str
    role: Role
    state: State
    why: str
    last: Observation | None


@dataclass(frozen=True, slots=True)
class Topology:
    """All servers of a database, in the order of the settings."""

    members: Mapping[str, Member] = field(default_factory=dict)
    memory: Memory = Memory()

    @property
    def primary(self) -> Member | None:
        return next((one for one in self.members.values() if _is(one, Role.PRIMARY)), None)

    @property
    def replicas(self) -> tuple[Member, ...]:
        return tuple(one for one in self.members.values() if _is(one, Role.REPLICA))


def _is(member: Member, role: Role) -> bool:
    return member.role is role and member.state is State.UP


Sights = Mapping[str, Sight]


def judge(sights: Sights, named: Collection[str], memory: Memory) -> Topology:
    """What is to be believed now. `sights` are in the order of the settings; `named` are those called primary there."""
    system = _system(sights, named, memory)
    if system != memory.system:
        memory = Memory()
    answers = {name: sight.answered for name, sight in sights.items() if sight.answered is not None}
    ours = {name: seen for name, seen in answers.items() if seen.system == system}
    newest = max([memory.timeline, *(seen.timeline for seen in ours.values())])
    case = _Case(system, newest, _without_twins(ours), sights, memory)
    topology = Topology({name: _member(case, name, sight) for name, sight in sights.items()})
    return Topology(topology.members, _remember(case, topology.primary, is_ours=any(name in ours for name in named)))


def _system(sights: Sights, named: Collection[str], memory: Memory) -> int | None:
    """The cluster that is meant; None if that cannot be told yet."""
    answers = {name: sight.answered.system for name, sight in sights.items() if sight.answered is not None}
    agreed = next(iter(answers.values())) if len(set(answers.values())) == 1 else None
    if memory.system is not None:
        is_new = agreed is not None and len(answers) == len(sights)  # every single one belongs to another one now
        return agreed if is_new else memory.system
    if any(name in answers for name in named):
        return next(system for name, system in answers.items() if name in named)
    return agreed if _all_tried(sights) else None


def _all_tried(sights: Sights) -> bool:
    return all(sight.last is not None or sight.error for sight in sights.values())


def _without_twins(ours: Mapping[str, Observation]) -> dict[str, Observation]:
    """Each server once, by the first of its addresses: it may have several, one that moves with the primary's role.

    With the last that was heard of it by any of them: until it is started anew, a server only goes from recovery to
    being a primary, and from a timeline to a newer one.
    """
    first: dict[int, str] = {}
    last: dict[int, Observation] = {}
    for name, seen in ours.items():
        first.setdefault(seen.started, name)
        last[seen.started] = max(last.get(seen.started, seen), seen, key=_progress)
    return {name: last[started] for started, name in first.items()}


def _progress(seen: Observation) -> tuple[int, bool, float]:
    return seen.timeline, not seen.in_recovery, seen.at


@dataclass(frozen=True, slots=True)
class _Case:
    """What the rules judge by."""

    system: int | None
    newest: int
    ours: Mapping[str, Observation]  # who has answered, is of our cluster, and no twin
    sights: Sights
    memory: Memory


def _is_early(case: _Case, name: str, seen: Observation) -> str:
    if case.system is not None or _all_tried(case.sights):
        return ""
    return "it is not known yet which cluster is meant: what is called primary has not been asked"


def _is_foreign(case: _Case, name: str, seen: Observation) -> str:
    if case.system is None:
        return "it is not known which cluster is meant: what is called primary has not been seen"
    return "" if seen.system == case.system else f"its system identifier is {seen.system}, not {case.system}"


def _is_twin(case: _Case, name: str, seen: Observation) -> str:
    if name in case.ours:
        return ""
    return "it is " + next(other for other, one in case.ours.items() if one.started == seen.started)


def _is_behind(case: _Case, name: str, seen: Observation) -> str:
    if seen.timeline == case.newest:
        return ""
    hidden = "; to see which one it streams, its user needs pg_read_all_stats" if seen.receiver_is_hidden else ""
    return f"its timeline is {seen.timeline}, the newest is {case.newest}{hidden}"


def _has_rival(case: _Case, name: str, seen: Observation) -> str:
    if seen.in_recovery:
        return ""
    for other, one in case.ours.items():
        if other != name and not one.in_recovery and one.timeline == seen.timeline:
            return f"{other} is not in recovery either, with the same timeline {seen.timeline}"
    memory = case.memory
    is_another = memory.holder not in ("", name) and memory.started != seen.started
    if is_another and memory.timeline == seen.timeline and memory.holder in case.sights:
        return f"{memory.holder} was the primary of the same timeline {seen.timeline}"
    return ""


_RULES: tuple[tuple[State, Callable[[_Case, str, Observation], str]], ...] = (
    (State.UNSEEN, _is_early),
    (State.OTHER_SYSTEM, _is_foreign),
    (State.SAME_SERVER, _is_twin),
    (State.OLD_TIMELINE, _is_behind),
    (State.SPLIT_BRAIN, _has_rival),
)
"""Why a server that has answered is refused: the first rule that has a word to say; without one it is UP."""


def _member(case: _Case, name: str, sight: Sight) -> Member:
    last = sight.last
    role = last.role if last is not None else Role.UNKNOWN
    if sight.error and sight.answered is None:
        return Member(name, role, State.UNREACHABLE, sight.error, last)
    if last is None:
        return Member(name, role, State.UNSEEN, "", None)
    for state, rule in _RULES:
        why = rule(case, name, last)
        if why:
            return Member(name, role, state, why, last)
    return Member(name, role, State.UP, sight.error, last)


def _remember(case: _Case, primary: Member | None, *, is_ours: bool) -> Memory:
    """A cluster is ours for good once a primary of it is believed, or what the settings call primary belongs to it."""
    if primary is not None and primary.last is not None:
        return Memory(case.system, case.newest, primary.name, primary.last.started)
    if case.memory.system is None and not is_ours:
        return Memory()
    if case.newest > case.memory.timeline:
        return Memory(case.system, case.newest)
    return case.memory
