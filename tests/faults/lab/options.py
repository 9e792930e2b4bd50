"""What a run of the lab is asked for."""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.integration.postgres import FLAVOURS

RESULTS = Path(__file__).parent.parent / "RESULTS.md"


@dataclass(frozen=True)
class Options:
    """A run ends when there have been so many replies and so many faults, or when the time is over."""

    replies: int = 1_000_000
    faults: int = 5_000
    seconds: float = 600.0
    seed: int = 0
    target: str = "trunkline"
    postgres: str = "embedded"
    write: bool = False

    @property
    def command(self) -> str:
        """What repeats it."""
        return (
            f"python -m tests.faults.lab --target {self.target} --postgres {self.postgres}"
            f" --replies {self.replies} --faults {self.faults} --seconds {self.seconds:g} --seed {self.seed}"
        )


def parse(arguments: Sequence[str] | None = None) -> Options:
    parser = argparse.ArgumentParser(prog="tests.faults.lab", description=(__doc__ or "").strip())
    parser.add_argument("--replies", type=int, default=Options.replies, help="nonces that must have come back")
    parser.add_argument("--faults", type=int, default=Options.faults, help="faults that must have happened")
    parser.add_argument("--seconds", type=float, default=Options.seconds, help="the longest it may take")
    parser.add_argument("--seed", type=int, default=None, help="of all choices; by default a new one, which is printed")
    parser.add_argument("--target", choices=("trunkline", "pgbouncer"), default=Options.target)
    parser.add_argument("--postgres", choices=tuple(FLAVOURS), default=Options.postgres, help="which build of it")
    parser.add_argument("--write", action="store_true", help=f"put the result into {RESULTS.name}")
    given = vars(parser.parse_args(arguments))
    seed = given.pop("seed")
    return Options(**given, seed=secrets.randbits(31) if seed is None else seed)
