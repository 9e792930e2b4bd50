"""Trunkline with a stopwatch: ``python -m bench.loop_steps FILE serve ...`` writes its longest step to FILE at its end.

A step is what the event loop does before it looks at its sockets again: for so long nobody else is served. It is
measured in CPU time, so that other processes of a busy machine do not count, from the last SIGPROF on. The loop is
asyncio's own, for uvloop takes its steps where nobody can time them; what is done in a step is the same.
"""

from __future__ import annotations

import signal
import sys
import time
from asyncio.events import Handle
from pathlib import Path
from types import FrameType

from trunkline.__main__ import main

_run = Handle._run  # type: ignore[attr-defined]
_longest_s = [0.0]


def _timed(handle: Handle) -> None:
    begun = time.thread_time()
    _run(handle)
    _longest_s[0] = max(_longest_s[0], time.thread_time() - begun)


def _begin_anew(number: int, frame: FrameType | None) -> None:
    _longest_s[0] = 0.0


if __name__ == "__main__":
    sys.modules["uvloop"] = None  # type: ignore[assignment]
    Handle._run = _timed  # type: ignore[attr-defined]
    signal.signal(signal.SIGPROF, _begin_anew)
    file, sys.argv = Path(sys.argv[1]), ["trunkline", *sys.argv[2:]]
    try:
        main()
    finally:
        file.write_text(f"{_longest_s[0] * 1000:.1f}")
