"""Where the log goes: standard error, a file, the system's log.

Contract: ``use`` may be called again, by each reload: files are opened anew then, so that a rotated one is left.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys

from trunkline.config.settings import Config
from trunkline.errors import ConfigError
from trunkline.log_handlers import Syslog, Unwaiting
from trunkline.log_lines import OneLine, PgBouncerLine

log = logging.getLogger("trunkline")

_LEVELS = (logging.INFO, logging.DEBUG)
SYSLOG = "/dev/log"


def use(config: Config, *, quiet: bool = False, worker: int = 0) -> None:
    """Log as this configuration wants it, each line with the worker's number if there is one.

    ConfigError, and nothing changed, if its file cannot be opened.
    """
    handlers = _handlers(config, quiet, f"worker {worker} " if worker else "")
    other = logging.getLogger("asyncio")
    before, log.handlers[:] = log.handlers[:], handlers
    other.handlers[:] = handlers
    log.setLevel(_LEVELS[min(config.settings.verbose, 1)])
    log.propagate = False
    for handler in before:
        with contextlib.suppress(OSError):
            handler.close()
    if config.settings.syslog and not os.path.exists(SYSLOG):
        log.warning("syslog: there is no %s", SYSLOG)


def _handlers(config: Config, quiet: bool, who: str) -> list[logging.Handler]:
    settings = config.settings
    handlers: list[logging.Handler] = [] if quiet else [_standard_error()]
    if settings.logfile:
        try:
            file = os.open(settings.logfile, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
            handlers.append(Unwaiting(file, "logfile", owned=True))
        except OSError as error:
            raise ConfigError(f"logfile {settings.logfile} cannot be written: {error.strerror}") from None
    for handler in handlers:
        handler.setFormatter(_formatter(config, who))
    if settings.syslog and os.path.exists(SYSLOG):
        handlers.append(_syslog(config, who))
    return handlers or [logging.NullHandler()]


def _standard_error() -> logging.Handler:
    try:
        return Unwaiting(sys.stderr.fileno(), "stderr")
    except (OSError, ValueError):  # it is no file here
        return logging.StreamHandler(sys.stderr)


def _formatter(config: Config, who: str, *, bare: bool = False) -> logging.Formatter:
    if config.from_ini:  # which process it was, its lines say by themselves
        return PgBouncerLine(bare=bare)
    return OneLine(f"{who}%(message)s" if bare else f"%(asctime)s %(levelname)s {who}%(name)s: %(message)s")


def _syslog(config: Config, who: str) -> logging.Handler:
    settings, names = config.settings, Syslog.facility_names
    if settings.syslog_facility not in names:
        raise ConfigError(f"unknown syslog_facility {settings.syslog_facility}", hint=f"One of {', '.join(names)}.")
    try:
        handler = Syslog(SYSLOG, names[settings.syslog_facility])
    except OSError as error:
        raise ConfigError(f"syslog: {SYSLOG}: {error.strerror}") from None
    handler.ident = f"{settings.syslog_ident}[{os.getpid()}]: "
    handler.setFormatter(_formatter(config, who, bare=True))
    return handler
