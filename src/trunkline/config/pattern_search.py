"""Regular expressions of files against names that strangers choose: bounded in time, since the event loop waits.

Rule: a search that is not over in time neither fits nor does not fit, for a line that is passed over might be the one
that rejects. It is an error, and whoever asked is not let in.

Python looks for signals in the middle of a search, so an alarm ends it; that works in the main thread only, which is
where clients log in.
"""

from __future__ import annotations

import logging
import re
import signal
import threading

from trunkline.errors import TrunklineError

log = logging.getLogger("trunkline.client")

LIMIT_S = 0.02


class PatternTooSlow(TrunklineError):
    """A pattern of auth_hba_file or auth_ident_file did not come to an end with this name."""

    code = "TL0208"
    sqlstate = "28000"
    severity = "FATAL"


class _Late(Exception):
    """The time is over."""


_armed = False


def search(pattern: re.Pattern[str], name: str) -> re.Match[str] | None:
    """As `pattern.search(name)`; PatternTooSlow after LIMIT_S."""
    global _armed
    if threading.current_thread() is not threading.main_thread():
        return pattern.search(name)
    if signal.getsignal(signal.SIGALRM) is not _on_alarm:
        signal.signal(signal.SIGALRM, _on_alarm)
    try:
        try:
            _armed = True
            signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
            return pattern.search(name)
        finally:
            _armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
    except _Late:
        log.warning("the pattern %r takes too long: write it without repetitions in repetitions", pattern.pattern)
        raise PatternTooSlow("the rules for this login take too long") from None


def _on_alarm(number: int, frame: object) -> None:
    if _armed:
        raise _Late
