"""Passwords judged by the system's libpam, with services of the test's own."""

from __future__ import annotations

import ctypes
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from trunkline.errors import AuthUnavailable
from trunkline.net.pam import Pam

SCRIPT = """#!/bin/sh
read -r password
[ "$PAM_USER" = alice ] && [ "$password" = sesame ] && [ "$PAM_RHOST" = 10.0.0.1 ]
"""


def _has_confdir() -> bool:
    try:
        return hasattr(ctypes.CDLL("libpam.so.0"), "pam_start_confdir")
    except OSError:
        return False


needs_pam = pytest.mark.skipif(not _has_confdir(), reason="libpam is not installed, or too old")


@pytest.fixture
async def pam(tmp_path: Path) -> AsyncIterator[Pam]:
    script = tmp_path / "check"
    script.write_text(SCRIPT)
    script.chmod(0o755)
    services = {
        "script": f"auth required pam_exec.so expose_authtok quiet {script}\naccount required pam_permit.so\n",
        "expired": "auth required pam_permit.so\naccount required pam_deny.so\n",
        "denied": "auth required pam_deny.so\naccount required pam_permit.so\n",
    }
    for name, text in services.items():
        (tmp_path / name).write_text(text)
    made = Pam(str(tmp_path))
    yield made
    made.close()


@needs_pam
@pytest.mark.skipif(shutil.which("sh") is None, reason="there is no shell")
@pytest.mark.parametrize(
    ("user", "password", "host", "accepted"),
    [
        (b"alice", b"sesame", b"10.0.0.1", True),
        (b"alice", b"wrong", b"10.0.0.1", False),
        (b"bob", b"sesame", b"10.0.0.1", False),
        (b"alice", b"sesame", b"10.0.0.2", False),
    ],
)
async def test_a_service_judges_user_password_and_host(
    pam: Pam, user: bytes, password: bytes, host: bytes, accepted: bool
) -> None:
    assert await pam.accepts(user, password, host, "script") is accepted


@needs_pam
@pytest.mark.parametrize("service", ["expired", "denied", "nowhere"])
async def test_who_may_not_log_in_is_refused_whatever_the_password(pam: Pam, service: str) -> None:
    try:
        assert not await pam.accepts(b"alice", b"sesame", b"", service)
    except AuthUnavailable:
        assert service == "nowhere"


async def test_without_the_library_nobody_is_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str | None) -> None:
        raise OSError("no such file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    with pytest.raises(AuthUnavailable, match="bouncer config error"):
        await Pam().accepts(b"alice", b"x", b"", "pgbouncer")
