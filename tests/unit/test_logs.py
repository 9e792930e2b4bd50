"""Where the log goes: standard error, a file, and one line an event."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.relay import config
from trunkline import logs
from trunkline.errors import ConfigError


@pytest.fixture(autouse=True)
def log() -> Iterator[logging.Logger]:
    """The package's logger, put back as it was."""
    root, other = logging.getLogger("trunkline"), logging.getLogger("asyncio")
    before: Any = (root.handlers[:], root.level, root.propagate, other.handlers[:])
    yield root
    for handler in root.handlers:
        handler.close()
    root.handlers[:], root.level, root.propagate, other.handlers[:] = before


def test_one_event_is_one_line_whatever_a_stranger_calls_himself(capsys: pytest.CaptureFixture[str]) -> None:
    logs.use(config())
    logging.getLogger("trunkline.client").info("login: user=%s", "eve\n2000-01-01 ready port=1")
    written = capsys.readouterr().err
    assert written.count("\n") == 1
    assert r"eve\x0a2000" in written


@pytest.mark.parametrize(("verbose", "level"), [(0, logging.INFO), (1, logging.DEBUG), (3, logging.DEBUG)])
def test_verbose_shows_more(log: logging.Logger, verbose: int, level: int) -> None:
    logs.use(config(verbose=verbose))
    assert log.level == level
    logs.use(config(verbose=verbose))
    assert len(log.handlers) == 1


def test_a_logfile_is_opened_anew_each_time(log: logging.Logger, tmp_path: Path) -> None:
    file = tmp_path / "x.log"
    logs.use(config(logfile=str(file)), quiet=True)
    log.info("one")
    file.rename(tmp_path / "x.log.1")
    log.info("two")
    logs.use(config(logfile=str(file)), quiet=True)
    log.info("three")
    assert (tmp_path / "x.log.1").read_text().count("\n") == 2
    assert file.read_text().endswith("three\n")


def test_a_logfile_that_cannot_be_written_changes_nothing(log: logging.Logger, tmp_path: Path) -> None:
    logs.use(config())
    before = log.handlers[:]
    with pytest.raises(ConfigError, match="cannot be written"):
        logs.use(config(logfile=str(tmp_path / "none/x.log")))
    assert log.handlers == before


def test_quiet_keeps_standard_error_clean(log: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    logs.use(config(), quiet=True)
    log.error("hush")
    assert capsys.readouterr().err == ""


def test_pgbouncers_file_has_pgbouncers_lines(log: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    logs.use(replace(config(), from_ini=True))
    log.info("hello")
    assert capsys.readouterr().err.rstrip().endswith("] LOG hello")


@pytest.mark.skipif(Path(logs.SYSLOG).exists(), reason="it would be written to")
def test_a_system_without_a_log_of_its_own_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    logs.use(config(syslog=True))
    assert "there is no /dev/log" in capsys.readouterr().err


def test_the_systems_log_gets_lines_without_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    device = tmp_path / "log"
    monkeypatch.setattr(logs, "SYSLOG", str(device))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(device))
        logs.use(config(syslog=True, syslog_ident="me", syslog_facility="local0"), quiet=True)
        logging.getLogger("trunkline").info("hello")
        said = end.recv(1000)
    assert said.startswith(b"<134>me[") and said.endswith(b"]: hello\0")
    with pytest.raises(ConfigError, match="syslog_facility"):
        logs.use(config(syslog=True, syslog_facility="nowhere"))
