"""A relay that knows the protocol's frames and does harm at a point of one's choosing.

It stands between a client and Trunkline, or between Trunkline and PostgreSQL, unencrypted:

    async with FaultProxy("127.0.0.1", postgres.port, before_postgres=True) as faults:
        faults.add(Rule("be", "C", re=r"^COMMIT"), Rst())                    # the answer to COMMIT is lost
        faults.add(Rule("fe", "B", bytes=7, p=0.01, times=None), Stall(500))  # 1 % of all Binds stop at their byte 7
        await faults.strike(Blackhole())                                      # every connection there is, now

``frames`` cuts the streams, ``rules`` says when, ``actions`` says what (``ACTIONS`` and ``KINDS`` list all of it),
``flow`` and ``conversation`` carry it out, ``transcript`` records. Without rules a conversation passes byte by byte.
"""

from tests.faults.fault_proxy.actions import (
    ACTIONS,
    KINDS,
    Action,
    Blackhole,
    Cancel,
    Close,
    Cut,
    Delay,
    Down,
    Drop,
    Dup,
    Flip,
    HalfClose,
    Inject,
    Kill,
    Moment,
    Rate,
    Rst,
    Run,
    Slice,
    SlowClose,
    Stall,
    Terminate,
)
from tests.faults.fault_proxy.frames import ANSWER, CANCEL, NEGOTIATION, OPAQUE, SIDES, STARTUP, Side
from tests.faults.fault_proxy.proxy import FaultProxy
from tests.faults.fault_proxy.rules import WHOLE, Fault, Rule
from tests.faults.fault_proxy.transcript import Entry, Transcript

__all__ = [
    "ACTIONS",
    "ANSWER",
    "CANCEL",
    "KINDS",
    "NEGOTIATION",
    "OPAQUE",
    "SIDES",
    "STARTUP",
    "WHOLE",
    "Action",
    "Blackhole",
    "Cancel",
    "Close",
    "Cut",
    "Delay",
    "Down",
    "Drop",
    "Dup",
    "Entry",
    "Fault",
    "FaultProxy",
    "Flip",
    "HalfClose",
    "Inject",
    "Kill",
    "Moment",
    "Rate",
    "Rst",
    "Rule",
    "Run",
    "Side",
    "Slice",
    "SlowClose",
    "Stall",
    "Terminate",
    "Transcript",
]
