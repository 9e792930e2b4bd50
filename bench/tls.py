"""TLS from the client: proxy CPU per query against PgBouncer's with the same certificate."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from bench import pgbench, postgres
from bench.contenders import Certificate, Setup, Stage, lineup
from bench.options import Options
from bench.pgbench import Load
from bench.process import DidNotStart
from bench.report import Section, number, table
from bench.samples import Sample, beside_pgbouncer, by_turns, cpu_us, ratios

CLIENTS = 16
CPU = "TLS, proxy CPU per query / PgBouncer"
ABOUT = (
    f"`pgbench -n -S`, simple protocol, {CLIENTS} clients with `sslmode=require`; the servers are reached without TLS."
)
HEADER = ("contender", "tps", "p99 ms", "CPU us/query", "CPU / PgBouncer", "tps / PgBouncer", "errors")


def make_certificate(directory: Path, account: str | None) -> Certificate:
    """A self-signed certificate, good for two days, readable by whoever runs PgBouncer."""
    made = Certificate(directory / "bench.crt", directory / "bench.key")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    try:
        subprocess.run([*command, "-keyout", made.key, "-out", made.certificate], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise DidNotStart(f"no certificate: {error}") from error
    postgres.give(made.key, account)
    return made


def run(stage: Stage, options: Options, progress: Callable[[str], None]) -> Section:
    section = Section("TLS from the client", ABOUT)
    try:
        setup = Setup(tls=make_certificate(stage.directory, stage.server.account))
    except DidNotStart as reason:
        section.notes.append(str(reason))
        return section
    samples: dict[str, list[Sample]] = {}
    names = [name for name in options.contenders if name in ("pgbouncer", "trunkline")]
    with lineup(stage, names, setup) as present:
        pgbench.warm_up(stage, present.running, tls=True)
        for contender in by_turns(present.running, options.rounds):
            sample = pgbench.measure(stage, contender, Load("simple", CLIENTS, options.seconds, tls=True))
            samples.setdefault(contender.name, []).append(sample)
            progress(f"tls: {contender.name} {sample.tps:.0f} tps {number(sample.cpu_us, 1)} us/query {sample.note}")
            section.notes += [f"{contender.name}: {sample.note}"] if sample.note else []
        section.note_absent(present.absent)
    section.tables.append(table(HEADER, [beside_pgbouncer(name, samples) for name in samples]))
    section.figures = {CPU: ratios(samples.get("trunkline", []), samples.get("pgbouncer", []), cpu_us)}
    return section
