"""Who is at the other end of a Unix socket."""

from __future__ import annotations

import os
import pwd
import socket

import pytest

from trunkline.net.credentials import peer_user


def test_the_owner_of_the_other_end_is_known_and_the_socket_left_open() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert peer_user(ours.fileno()) == pwd.getpwuid(os.getuid()).pw_name
        ours.send(b"x")
        assert theirs.recv(1) == b"x"


def test_who_has_no_name_is_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()

    def nobody(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    with ours, theirs:
        assert peer_user(ours.fileno()) is None
