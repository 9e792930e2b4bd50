"""Lines of the log are written, or lost and counted; they are never waited for."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from trunkline.log_handlers import PIECE, Syslog, Unwaiting, lines_dropped

PIECES = 4  # that a pipe holds here
LOST = "%d lines of the log were lost, for nobody took them\n"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIECES * PIECE)
    os.set_blocking(reading, False)
    yield reading, writing
    os.close(reading)
    with contextlib.suppress(OSError):
        os.close(writing)


def record(text: str) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": text})


def taken(descriptor: int) -> str:
    found = b""
    with contextlib.suppress(BlockingIOError):
        while data := os.read(descriptor, 1 << 16):
            found += data
    return found.decode()


def test_lines_are_written_as_they_come(pipe: tuple[int, int]) -> None:
    handler = Unwaiting(pipe[1], "test")
    handler.emit(record("first"))
    handler.emit(record("second \udcff"))
    assert taken(pipe[0]) == "first\nsecond \\udcff\n"


def test_a_reader_that_is_stuck_costs_lines_which_are_counted_and_told_of(pipe: tuple[int, int]) -> None:
    handler, before = Unwaiting(pipe[1], "test"), lines_dropped["test"]
    for number in range(400):
        handler.emit(record(f"{number:03} " + "x" * 95))
    lost = lines_dropped["test"] - before
    kept = taken(pipe[0]).splitlines()
    assert [line[:3] for line in kept] == [f"{number:03}" for number in range(400 - lost)]
    assert 0 < lost < 400
    handler.emit(record("again"))
    handler.emit(record("and again"))
    assert taken(pipe[0]) == LOST % lost + "again\nand again\n"


def test_a_long_line_that_was_begun_is_ended_before_the_next(pipe: tuple[int, int]) -> None:
    handler = Unwaiting(pipe[1], "test")
    handler.emit(record("a" * (PIECES + 1) * PIECE))
    handler.emit(record("b"))
    assert taken(pipe[0]) == "a" * PIECES * PIECE
    handler.emit(record("c"))
    assert taken(pipe[0]) == "a" * PIECE + "\n" + LOST % 1 + "c\n"


def test_a_full_disk_and_a_reader_that_is_gone_cost_lines(pipe: tuple[int, int]) -> None:
    before = lines_dropped["test"]
    full = Unwaiting(os.open("/dev/full", os.O_WRONLY), "test", owned=True)
    full.emit(record("lost"))
    full.emit(record("lost too"))
    full.close()
    reading, writing = os.pipe()
    os.close(reading)
    broken = Unwaiting(writing, "test", owned=True)
    broken.emit(record("lost"))
    broken.close()
    broken.close()
    assert lines_dropped["test"] - before == 3


def test_syslog_does_not_wait_either(tmp_path: Path) -> None:
    before = lines_dropped["syslog"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stuck:
        stuck.bind(str(tmp_path / "log"))
        handler = Syslog(str(tmp_path / "log"))
        for _ in range(2000):
            handler.emit(record("x" * 500))
        handler.close()
    assert lines_dropped["syslog"] > before
