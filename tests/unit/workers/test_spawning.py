"""What a process of ours tells the next one, through real processes."""

from __future__ import annotations

import os
import socket
import sys

import pytest

from trunkline.workers import spawning

PROGRAM = """
import os
from trunkline.workers import spawning
found = spawning.inherited(os.environ)
sock = spawning.adopt(found.channel)
sock.sendall(f"{found.number} of {found.count}, {sock.get_inheritable()}, {spawning.VARIABLE in os.environ}".encode())
"""


def test_a_worker_finds_what_it_inherits_and_hands_nothing_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spawning, "command", lambda: [sys.executable, "-c", PROGRAM])
    ours, theirs = socket.socketpair()
    with ours:
        what = spawning.Worker(number=2, count=3, channel=theirs.fileno(), connections=-1, port=6432)
        process = spawning.start(what, [theirs.fileno()])
        theirs.close()
        assert ours.recv(100) == b"2 of 3, False, False"
        assert process.wait() == 0


def test_a_process_that_was_started_by_hand_inherits_nothing() -> None:
    assert spawning.inherited({}) is None


def test_lists_of_descriptors_come_back_as_they_were() -> None:
    environ = {spawning.VARIABLE: '["successor", {"channel": 3, "listening": [4, 5]}]'}
    assert spawning.inherited(environ) == spawning.Successor(3, (4, 5))
    assert environ == {}


def test_the_program_is_started_as_this_one_was() -> None:
    assert spawning.command() == [sys.executable, *sys.orig_argv[1:]]
    assert os.path.exists(sys.executable)
