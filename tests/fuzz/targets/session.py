"""Any replies to any requests: the compiled session and a list of what is owed say the same, and break off together.

The model below is the protocol in plain lists; the session is a ring in C. They must agree on each verdict and on all
that can be seen, and "free" must mean that nothing is owed. Input: a byte or two a step.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tests.fuzz.reader import Reader
from trunkline.protocol.server_session import REQUEST_NAMES, ServerSession

REQUESTS: Final = REQUEST_NAMES[1:]
ACTION_NAMES: Final = ("forward", "swallow", "fake")
ACTIONS: Final = ("forward", "forward", "swallow", "fake")
REPLIES: Final = "123CDEGHIKNSTVWZZZAcdnst?"
STATUSES: Final = "IITE\0"
FAKED: Final = ("parse", "close")  # what may be answered in the server's place
UNITS: Final = ("query", "function", "sync")  # answered by ReadyForQuery
ASYNCHRONOUS: Final = "NSA"
COPIES: Final = {"G": 1, "H": 2, "W": 3}

# What PostgreSQL may answer: what is part of the reply, and what ends it (protocol documentation, 55.2 and 55.8).
PARTS: Final = {
    "nothing": "E",
    "query": "TDCIdcGHWE",
    "function": "VE",
    "sync": "E",
    "describe": "t",
    "execute": "DdcGHW",
}
ENDS: Final = {"parse": "1", "parse_unnamed": "1", "bind": "2", "describe": "Tn", "execute": "CIs", "close": "3"}


class Owed(NamedTuple):
    request: str
    action: str
    note: object


class Model:
    """What is owed, as a list."""

    def __init__(self) -> None:
        self.owed: list[Owed] = []
        self.status = "I"
        self.copying = 0
        self.skipping = self.tainted = False
        self.synced = True
        self.undone: list[tuple[str, str, object, bool]] = []

    def request(self, request: str, action: str, note: object) -> bool:
        self.skipping &= request != "sync"
        if self.skipping:
            return False
        self.owed.append(Owed(request, action, note))
        self.synced = False
        return True

    def reply(self, kind: str, status: str) -> str:
        head = self.owed[0] if self.owed else Owed("nothing", "forward", None)
        ours = "keep" if head.action == "swallow" else "give"
        if kind in ASYNCHRONOUS:
            return "give" if kind == "A" else ours
        if kind == "Z" and head.request in UNITS and status in "ITE":
            return self._ready(status, ours)
        if kind == "E" and head.request not in (*UNITS, "nothing"):
            return self._fail()
        if kind in ENDS.get(head.request, ""):
            self.copying = 0
            self.owed.pop(0)
            return ours
        if kind in PARTS.get(head.request, ""):
            self._part(kind, head)
            return ours
        self.tainted = True
        return "broken"

    def _ready(self, status: str, ours: str) -> str:
        self.copying = 0
        self.status = status
        self.owed.pop(0)
        self.synced = not self.owed
        return ours

    def _part(self, kind: str, head: Owed) -> None:
        self.tainted |= head.request == "nothing"
        if kind in "CE" and head.request != "nothing":
            self.copying = 0
        if kind in COPIES:
            self.copying = COPIES[kind]
        if kind == "G":  # Sync is ignored by a server that copies in
            while self.owed[1:2] and self.owed[1].request == "sync":
                del self.owed[1]

    def _fail(self) -> str:
        self.copying = 0
        dropped = []
        while self.owed and self.owed[0].request != "sync":
            dropped.append(self.owed.pop(0))
        self.skipping |= not self.owed
        self.undone += [(*owed, index == 0) for index, owed in enumerate(dropped) if owed.note is not None]
        return "give"

    def fake(self) -> str | None:
        faked = self.owed and self.owed[0].action == "fake"
        return self.owed.pop(0).request if faked else None

    @property
    def free(self) -> bool:
        return self.synced and not self.owed and self.status == "I" and not self.copying and not self.tainted


def check(data: bytes) -> None:
    reader = Reader(data)
    session, model = ServerSession(), Model()
    verdict = ""
    while reader and verdict != "broken":
        verdict = step(reader, session, model)
        compare(session, model)


def step(reader: Reader, session: ServerSession, model: Model) -> str:
    """One request, reply or faked answer at both; the verdict, where there is one."""
    choice = reader.byte()
    if choice < 128:
        request, action = REQUESTS[choice % len(REQUESTS)], ACTIONS[choice // 32]
        action = "forward" if action == "fake" and request not in FAKED else action
        note = object() if choice % 5 else None
        for _ in range(40 if choice == 127 else 1):  # the ring grows, and wraps around
            assert session.request(request, action, note) == model.request(request, action, note)
    elif choice < 240:
        kind = REPLIES[choice % len(REPLIES)]
        status = reader.pick(STATUSES) if kind == "Z" else "\0"
        verdict = session.reply(kind, status)
        assert verdict == model.reply(kind, status)
        return verdict
    elif choice < 250:
        assert session.fake() == model.fake()
    else:
        session.undone.clear()
        model.undone.clear()
    return ""


def compare(session: ServerSession, model: Model) -> None:
    assert session.count == len(model.owed)
    assert session.units == sum(owed.request in UNITS for owed in model.owed)
    assert session.copying == model.copying
    assert chr(session.status) == model.status
    assert (session.skipping, session.synced, session.tainted) == (model.skipping, model.synced, model.tainted)
    assert session.free == model.free
    seen = [(REQUEST_NAMES[request], ACTION_NAMES[action], *rest) for request, action, *rest in session.undone]
    assert seen == model.undone
