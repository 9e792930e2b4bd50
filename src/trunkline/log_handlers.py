"""Where lines of the log are written without ever being waited for: a disk that is full, or a reader that is stuck,
costs lines and never a client's time. Lines that were lost are counted, and told of by the next one that is not.
"""

from __future__ import annotations

import logging
import os
import select
import socket
from collections import Counter
from logging.handlers import SysLogHandler

lines_dropped: Counter[str] = Counter()
"""Of this process, by where they would have gone."""

PIECE = 4096  # a pipe that takes anything takes so much at once (PIPE_BUF)


class Unwaiting(logging.Handler):
    """Writes to a descriptor, which it closes in the end if it was opened for that."""

    def __init__(self, descriptor: int, name: str, *, owned: bool = False) -> None:
        super().__init__()
        self._descriptor, self._where, self._owned = descriptor, name, owned
        self._rest = b""  # of a line that was begun
        self._dropped = 0
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self._line(record)
        except Exception:  # words that do not fit their arguments, as logging has it
            self.handleError(record)
            return
        self._send(b"")
        if self._dropped and not self._rest and self._send(self._loss()):
            self._dropped = 0
        if self._rest or self._dropped or not self._send(line):
            self._dropped += 1
            lines_dropped[self._where] += 1

    def close(self) -> None:
        if self._owned and self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        super().close()

    def _line(self, record: logging.LogRecord) -> bytes:
        return self.format(record).encode(errors="backslashreplace") + b"\n"

    def _loss(self) -> bytes:
        words = "%d lines of the log were lost, for nobody took them"
        lost = logging.makeLogRecord(
            {"name": "trunkline", "levelname": "WARNING", "levelno": logging.WARNING, "msg": words,
             "args": (self._dropped,)}
        )  # fmt: skip
        return self._line(lost)

    def _send(self, line: bytes) -> bool:
        """Write what is left, and a line behind it; false if nothing of the line was taken."""
        data, untouched = self._rest + line, len(line)
        try:
            while data and self._poll.poll(0):
                data = data[os.write(self._descriptor, data[:PIECE]) :]
        except OSError:  # no space, or nobody there: what was begun is not ended, either
            self._rest = b""
            return False
        begun = len(data) < untouched or not line
        self._rest = data if begun else data[: len(data) - untouched]
        return begun


class Syslog(SysLogHandler):
    """The system's log, which may have no room either."""

    def createSocket(self) -> None:
        super().createSocket()
        self._do_not_wait()

    def _connect_unixsocket(self, address: str) -> None:
        super()._connect_unixsocket(address)  # type: ignore[misc]
        self._do_not_wait()

    def handleError(self, record: logging.LogRecord) -> None:
        lines_dropped["syslog"] += 1

    def _do_not_wait(self) -> None:
        opened = getattr(self, "socket", None)
        if isinstance(opened, socket.socket):
            opened.setblocking(False)
