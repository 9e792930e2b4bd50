"""``trunkline-pgbouncer``: Trunkline with PgBouncer's command line, for scripts and units that start that.

Contract: the options, the words and the exit codes are PgBouncer's: 0 for what it was asked for, 1 for everything else.
The file is always read as PgBouncer's, whatever it is called.
"""

from __future__ import annotations

import getopt
import logging
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from trunkline.config.diagnostics import ConfigErrors
from trunkline.config.global_settings import Settings
from trunkline.config.settings import Config
from trunkline.errors import ConfigError, TrunklineError
from trunkline.log_lines import PgBouncerLine

_SHORT = "qvhdVRu:"
_LONG = {"quiet": "q", "verbose": "v", "help": "h", "daemon": "d", "version": "V", "reboot": "R", "user=": "u"}
_USAGE = """\
{program} is a connection pooler for PostgreSQL.

Usage:
  {program} [OPTION]... CONFIG_FILE

Options:
  -d, --daemon         run in background (as a daemon)
  -q, --quiet          run quietly
  -R, --reboot         start where no process runs that would be replaced
  -u, --user=USERNAME  assume identity of USERNAME
  -v, --verbose        increase verbosity
  -V, --version        show version, then exit
  -h, --help           show this help, then exit

Sockets are not taken over from a running process: start with so_reuseport = 1
beside it, and let that one finish with SHUTDOWN WAIT_FOR_CLIENTS.
"""


@dataclass(frozen=True, slots=True)
class Options:
    """The command line."""

    file: str
    background: bool = False
    quiet: bool = False
    reboot: bool = False
    user: str = ""
    verbose: int = 0


def main() -> None:
    program = sys.argv[0]
    try:
        options = read_options(program, sys.argv[1:])
    except getopt.GetoptError as error:
        print(f'{program}: {error.msg}\nTry "{program} --help" for more information.', file=sys.stderr)
        sys.exit(1)
    sys.exit(run(options) if isinstance(options, Options) else _tell(options))


def read_options(program: str, arguments: Sequence[str]) -> Options | str:
    """What is to be run, or what is to be printed; GetoptError for what makes no sense."""
    found, rest = getopt.gnu_getopt(list(arguments), _SHORT, list(_LONG))
    given = [(name.lstrip("-"), value) for name, value in found]
    letters = [(_LONG.get(name) or _LONG.get(f"{name}=") or name, value) for name, value in given]
    told = next((letter for letter, _ in letters if letter in "hV"), "")
    if told:
        return _USAGE.format(program=program) if told == "h" else version()
    if len(rest) != 1:
        raise getopt.GetoptError("no configuration file specified")
    names = [letter for letter, _ in letters]
    users = [value for letter, value in letters if letter == "u"]
    return Options(rest[0], "d" in names, "q" in names, "R" in names, users[-1] if users else "", names.count("v"))


def version() -> str:
    """As SHOW VERSION tells it, and below what it runs on."""
    import platform
    import ssl

    from trunkline.admin.probes import VERSION_LINE

    return f"{VERSION_LINE}\npython {platform.python_version()}\ntls: {ssl.OPENSSL_VERSION}\n"


def _tell(text: str) -> int:
    print(text, end="")
    return 0


def run(options: Options) -> int:
    """Serve as the options want it; what keeps it from that is told on standard error, also when it is to be quiet."""
    from trunkline.app import run as serve
    from trunkline.config.pgbouncer.reader import load

    def configuration() -> Config:
        return with_options(load(options.file, os.environ), options)

    try:
        if options.reboot:
            refuse_takeover(configuration().settings)
        return serve(configuration, quiet=options.quiet, background=options.background, root=False)
    except TrunklineError as error:
        _die(error)
        return 1
    except KeyboardInterrupt:  # before the server has its own signal handlers
        return 1


def refuse_takeover(settings: Settings) -> None:
    """Go on where there is nothing to take over, as PgBouncer does; ConfigError where there is."""
    directory = settings.unix_socket_dir
    if not directory:
        raise ConfigError("cannot reboot if unix dir not configured")
    path = f"{directory}/.s.PGSQL.{settings.listen_port}"
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex("\0" + path[1:] if path.startswith("@") else path) == 0:
            hint = "Start beside it with so_reuseport = 1, and end it with SHUTDOWN WAIT_FOR_CLIENTS."
            raise ConfigError("the sockets of a running process cannot be taken over", hint=hint)


def _die(error: TrunklineError) -> None:
    """The whole explanation, and a last line as its log would have it."""
    from trunkline.serve import explain

    print(explain(error, color=sys.stderr.isatty()), file=sys.stderr)
    words = "cannot load config file" if isinstance(error, ConfigErrors) else error.message
    record = logging.LogRecord("trunkline", logging.CRITICAL, "", 0, "%s", (words,), None)
    print(PgBouncerLine().format(record), file=sys.stderr)


def with_options(config: Config, options: Options) -> Config:
    """The command line is before the file for the user, and at least what the file wants of words in the log."""
    settings = config.settings
    return replace(
        config,
        settings=replace(
            settings, user=options.user or settings.user, verbose=min(3, max(options.verbose, settings.verbose))
        ),
    )


if __name__ == "__main__":
    main()
