"""What one run measures: the command line, turned once into a frozen record that every section reads."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

MODES = ("simple", "extended", "prepared")
SECTIONS = (
    *MODES,
    "sharded",
    "reading",
    "commits",
    "spread",
    "tpch",
    "routing",
    "wide",
    "idle",
    "logins",
    "tls",
    "storm",
    "workers",
    "operations",
    "upgrades",
)
CONTENDERS = ("direct", "pgbouncer", "trunkline", "floor")
POOL_SIZE = 20


@dataclass(frozen=True)
class Options:
    """Sizes and choices of a run; ``full`` is true when nothing was left out or made shorter."""

    sections: tuple[str, ...] = SECTIONS
    contenders: tuple[str, ...] = CONTENDERS
    clients: tuple[int, ...] = (1, 16, 64)
    rounds: int = 3
    seconds: float = 4
    wide_rows: int = 200_000
    slow_s: float = 20
    idle_clients: int = 10_000
    logins: int = 2_000
    upgrades: int = 20
    full: bool = True
    write: bool = True


def _choices(allowed: tuple[str, ...]) -> type[str]:
    """An argparse type for a comma-separated subset of ``allowed`` (returned as the text itself, checked)."""

    class Choices(str):
        def __new__(cls, text: str) -> Choices:
            wrong = set(text.split(",")) - set(allowed)
            if wrong:
                raise argparse.ArgumentTypeError(f"{', '.join(sorted(wrong))}: choose from {', '.join(allowed)}")
            return super().__new__(cls, text)

    return Choices


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure Trunkline beside its peers.")
    parser.add_argument("--only", type=_choices(SECTIONS), help=f"sections, of {','.join(SECTIONS)}")
    parser.add_argument("--contenders", type=_choices(CONTENDERS), help=f"of {','.join(CONTENDERS)}")
    parser.add_argument("--clients", help="numbers of pgbench clients, such as 16,64")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="length of one pgbench run")
    parser.add_argument("--quick", action="store_true", help="everything once and small: does it run at all?")
    parser.add_argument("--write", action="store_true", help="write bench/RESULTS.md although the run is not full")
    return parser


def _subset(text: str | None, default: tuple[str, ...]) -> tuple[str, ...]:
    return default if text is None else tuple(name for name in default if name in text.split(","))


def parse(arguments: list[str]) -> Options:
    given = _parser().parse_args(arguments)
    base = Options()
    if given.quick:
        base = Options(rounds=1, seconds=1, wide_rows=20_000, slow_s=3, idle_clients=1_000, logins=200, upgrades=2)
    full = not given.quick and not any((given.only, given.contenders, given.clients, given.rounds, given.seconds))
    return Options(
        sections=_subset(given.only, base.sections),
        contenders=_subset(given.contenders, base.contenders),
        clients=tuple(int(n) for n in given.clients.split(",")) if given.clients else base.clients,
        rounds=given.rounds or base.rounds,
        seconds=given.seconds or base.seconds,
        wide_rows=base.wide_rows,
        slow_s=base.slow_s,
        idle_clients=base.idle_clients,
        logins=base.logins,
        upgrades=base.upgrades,
        full=full,
        write=full or given.write,
    )
