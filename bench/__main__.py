"""``python -m bench``: starts the server, runs the chosen sections, prints them; a full run writes RESULTS.md."""

from __future__ import annotations

import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from bench import (
    bars,
    commits,
    decisions,
    idle,
    logins,
    machine,
    micro_routing,
    operations,
    options,
    prepared,
    spread,
    storm,
    throughput,
    tls,
    tpch,
    upgrades,
    wide,
    workers,
)
from bench.contenders import Stage
from bench.options import MODES, POOL_SIZE, Options
from bench.postgres import SCALE, Backend
from bench.process import DidNotStart
from bench.report import Section

RESULTS = Path(__file__).parent / "RESULTS.md"
Runner = Callable[[Stage, Options, Callable[[str], None]], Section]
# Each runner with the sections of the command line that ask for it.
RUNNERS: tuple[tuple[Runner, tuple[str, ...]], ...] = (
    (throughput.run, MODES),
    (prepared.run, ("prepared",)),
    (decisions.SHARDED.run, ("sharded",)),
    (decisions.READING.run, ("reading",)),
    (commits.run, ("commits",)),
    (spread.run, ("spread",)),
    (tpch.run, ("tpch",)),
    (micro_routing.run, ("routing",)),
    (wide.run, ("wide",)),
    (idle.run, ("idle",)),
    (logins.run, ("logins",)),
    (tls.run, ("tls",)),
    (storm.run, ("storm",)),
    (workers.run, ("workers",)),
    (operations.run, ("operations",)),
    (upgrades.run, ("upgrades",)),
)
INTRODUCTION = (
    "Written by `make bench`. All contenders take turns within each round of one run, with the same settings: "
    f"transaction pooling, a pool of {POOL_SIZE}, one PostgreSQL on loopback (pgbench scale {SCALE}, all in memory), "
    "one pgbench for all. Ratios are of one round, and medians over rounds are shown; in brackets their extremes. "
    "*direct* is PostgreSQL without a proxy. *floor* is a relay of a hundred lines of C on epoll that does the least "
    "any transaction pooler must do (`bench/floor`): no login, no error handling, a measuring stick only."
)


@contextmanager
def stage() -> Iterator[Stage]:
    """A loaded server and a directory for everyone's files; both are gone afterwards, whatever happens between."""
    directory = Path(tempfile.mkdtemp(prefix="trunkline-bench-"))
    directory.chmod(0o755)  # ours; the server and PgBouncer may run as another user
    try:
        server = Backend(directory)
        try:
            server.start()
            yield Stage(server, directory)
        finally:
            server.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _progress(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {line}", file=sys.stderr, flush=True)


def _document(facts: Sequence[tuple[str, str]], sections: Sequence[Section], with_bars: bool) -> str:
    parts = ["# Results", INTRODUCTION, "\n".join(f"- {label}: {text}" for label, text in facts)]
    if with_bars:
        figures = {key: values for section in sections for key, values in section.figures.items()}
        parts += ["## What has to be reached", bars.summary(figures)]
    return "\n\n".join([*parts, *(section.markdown() for section in sections)]) + "\n"


def _stop(number: int, frame: FrameType | None) -> None:
    """SIGTERM unwinds like Ctrl-C, so that every process started is stopped."""
    raise KeyboardInterrupt


def _raise_descriptor_limit() -> None:
    """To what we are allowed; the contenders inherit it, and thousands of idle clients need it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def run(chosen: Options, arguments: Sequence[str]) -> str:
    """The whole report as Markdown."""
    with stage() as prepared_stage:
        facts = machine.facts(prepared_stage, arguments)
        started = time.monotonic()
        sections = [
            runner(prepared_stage, chosen, _progress) for runner, names in RUNNERS if set(names) & set(chosen.sections)
        ]
        facts.append(("length of the run", f"{(time.monotonic() - started) / 60:.1f} minutes"))
    return _document(facts, sections, chosen.write)


def main(arguments: list[str]) -> int:
    chosen = options.parse(arguments)
    signal.signal(signal.SIGTERM, _stop)
    _raise_descriptor_limit()
    try:
        document = run(chosen, arguments)
    except DidNotStart as reason:
        print(f"bench: {reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print(document)
    if chosen.write:
        RESULTS.write_text(document)
        _progress("wrote bench/RESULTS.md")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
