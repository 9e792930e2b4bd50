"""Statements over two shards: what a scatter adds to the slower shard's own time, what small reads take of the proxy,
how fast rows are merged and a COPY is split, what committing in two phases costs beside plain commits of the same, and
what it costs an INSERT that its id is drawn from the sequence that all shards have in common.

The shards are two databases of the one server, each with half of the rows, without parallel query, since both shards
work at the same time. *floor of two* is a relay in C that sends a statement to both, merges nothing, and answers with
what one has said when both have answered (`bench/floor/floor_scatter.c`): no proxy is faster than that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from bench import pgbench, wide, wire
from bench.contenders import STARTERS, Running, Setup, Stage, floor, lineup, trunkline
from bench.options import Options
from bench.pgbench import Load
from bench.report import Section, number, ratio, spread, table
from bench.samples import Sample, ratios, tps

DATABASES = ("spread_0", "spread_1")
ROWS = 1_000_000
CLIENTS = 8
ASKED = {"SELECT count(*) FROM numbers": 15, "SELECT id FROM numbers ORDER BY id LIMIT 10": 200}
LATENCIES = (
    "statement",
    "two shards, ms",
    "one shard through Trunkline, ms",
    "the slower one directly, ms",
    "floor of two, ms",
    "two / directly",
    "one / directly",
    "floor / directly",
)
SMALL = "SELECT id FROM numbers WHERE id < {} ORDER BY id LIMIT 10"
SMALL_TIMES = 1000
SMALL_READS = ("small read", "ms", "CPU us of the proxy")
MERGED = "SELECT id FROM numbers ORDER BY id"
RATE = "rows merged, 1/s"
GROWTH = "merge of 1,000,000 rows, memory growth, MB"
COPIED = "rows copied to two shards, 1/s"
LINES = b"".join(b"%d\tfiller\n" % number for number in range(ROWS // 2))
DRAWN = f"INSERT with a drawn id / with the id given, throughput, {CLIENTS} clients"
INSERTS = {
    "with the id given": "\\set n random(1, 9000000000000000)\nINSERT INTO numbered (id, filler) VALUES (:n, 'x');\n",
    "with a drawn id": "INSERT INTO numbered (filler) VALUES ('x');\n",
}
TWO_PHASE = f"two-phase / plain commits, throughput, {CLIENTS} clients"
ERRORS = "errors of statements over two shards"
SCRIPT = f"""\\set n random(0, {ROWS // 2 - 1})
\\set a 2 * :n
\\set b 2 * :n + 1
BEGIN;
UPDATE numbers SET filler = 'x' WHERE id = :a;
UPDATE numbers SET filler = 'x' WHERE id = :b;
END;
"""
FILL = """
CREATE TABLE numbers (id int8 PRIMARY KEY, filler text) WITH (fillfactor = 50);
INSERT INTO numbers SELECT n, 'filler' FROM generate_series({shard}, {last}, 2) AS n;
VACUUM ANALYZE numbers;
CREATE TABLE loaded (id int8 PRIMARY KEY, filler text);
CREATE TABLE numbered (id bigserial PRIMARY KEY, filler text);
ALTER DATABASE {name} SET max_parallel_workers_per_gather = 0
"""


def latency(statement: str) -> str:
    """The key under which the ratio is held against its bar."""
    return f"{statement}, two shards / the slower one"


def create(stage: Stage) -> None:
    """The databases of the shards."""
    for shard, name in enumerate(DATABASES):
        stage.server.create_database(name, FILL.format(shard=shard, last=ROWS - 1, name=name))


def configuration(port: int) -> str:
    """``bench`` and ``plain`` are the same shards; the second one commits plainly."""
    said = ""
    for name, mode in ((wire.DATABASE, "two_phase"), ("plain", "best_effort")):
        said += f'[databases.{name}]\ntransaction_mode = "{mode}"\n'
        for database in DATABASES:
            url = f"postgres://{wire.USER}@127.0.0.1:{port}/{database}"
            said += f'[[databases.{name}.shards]]\nname = "{database}"\nprimary = "{url}"\n'
        said += f'[databases.{name}.tables]\nnumbers = {{ shard_by = "id", method = "modulo" }}\n'
        said += 'loaded = { shard_by = "id", method = "modulo", colocated_with = "numbers" }\n'
        said += 'numbered = { shard_by = "id", method = "modulo", colocated_with = "numbers" }\n'
    return said


def _start(stage: Stage, setup: Setup, directory: Path) -> Running:
    create(stage)
    return replace(trunkline(stage, setup, directory, configuration(stage.server.port)), name="spread")


def _start_floor(stage: Stage, setup: Setup, directory: Path) -> Running:
    return replace(floor(stage, setup, directory, "floor_scatter", *DATABASES), name="floor of two")


STARTERS["spread"] = _start
STARTERS["floor of two"] = _start_floor


def run(stage: Stage, options: Options, progress: Callable[[str], None]) -> Section:
    section = Section("Statements over two shards", __doc__ or "")
    with lineup(stage, ("spread",)) as present:
        section.note_absent(present.absent)
        for contender in present.running:
            try:
                with lineup(stage, ("floor of two",)) as least:
                    section.note_absent(least.absent)
                    _latencies(stage, contender, least.running, options, section, progress)
                _small_reads(contender, options, section, progress)
                _merge(contender, options, section, progress)
                _copy(contender, options, section, progress)
            except OSError as reason:
                section.notes.append(f"not answered: {reason}")
            _commits(stage, contender, options, section, progress)
            _inserts(stage, contender, options, section, progress)
    return section


def _latencies(
    stage: Stage,
    contender: Running,
    floors: Sequence[Running],
    options: Options,
    section: Section,
    progress: Callable[[str], None],
) -> None:
    rows = []
    for statement, times in ASKED.items():
        found: list[tuple[float, float, float]] = []
        least: list[float] = []
        at_one = f"/* trunkline: shard={DATABASES[0]} */ {statement}"
        for _ in range(options.rounds):
            ours = _median_ms(contender.port, wire.DATABASE, statement, times)
            alone = _median_ms(contender.port, wire.DATABASE, at_one, times)
            slower = max(_median_ms(stage.server.port, name, statement, times) for name in DATABASES)
            found.append((ours, alone, slower))
            least += [_median_ms(one.port, wire.DATABASE, statement, times) for one in floors]
            progress(
                f"spread: {statement} {ours:.2f} ms, one shard {alone:.2f} ms, the slower directly {slower:.2f} ms"
            )
        section.figures[latency(statement)] = [ours / slower for ours, _, slower in found]
        rows.append([statement, *(spread([one[side] for one in found], 3) for side in (0, 1, 2)), spread(least, 3),
                     ratio(section.figures[latency(statement)]),
                     ratio([alone / slower for _, alone, slower in found]),
                     ratio([one / slower for one, (_, _, slower) in zip(least, found, strict=False)])])  # fmt: skip
    section.tables.append(table(LATENCIES, rows))


def _median_ms(port: int, database: str, statement: str, times: int) -> float:
    with wire.login(port, timeout_s=60, database=database) as client:
        took = []
        for _ in range(times + 1):
            begun = time.perf_counter()
            client.sendall(wire.query_message(statement))
            wire.read_answer(client)
            took.append((time.perf_counter() - begun) * 1000)
        return median(took[1:])


def _small_reads(contender: Running, options: Options, section: Section, progress: Callable[[str], None]) -> None:
    """One after the other, by one client, in turns: as simple queries, and prepared with another value each time."""
    ways = {
        "simple query": [wire.query_message(SMALL.format(1000))] * SMALL_TIMES,
        "the same, prepared with a parameter": [wire.run_message("s", b"%d" % (1000 + n)) for n in range(SMALL_TIMES)],
    }
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    assert contender.daemon is not None
    with wire.login(contender.port, timeout_s=60) as client:
        client.sendall(wire.prepare_message("s", SMALL.format("$1")))
        wire.read_answer(client)
        for _ in range(options.rounds):
            for way, calls in ways.items():
                took, cpu_ns = [], contender.daemon.cpu_ns()
                for call in calls:
                    begun = time.perf_counter()
                    client.sendall(call)
                    wire.read_answer(client)
                    took.append((time.perf_counter() - begun) * 1000)
                found[way].append((median(took), (contender.daemon.cpu_ns() - cpu_ns) / 1000 / SMALL_TIMES))
                progress(f"spread: {way} {found[way][-1][0]:.3f} ms, {found[way][-1][1]:.0f} us of CPU")
    rows = [[way, spread([ms for ms, _ in one], 3), spread([us for _, us in one], 0)] for way, one in found.items()]
    section.tables.append(table(SMALL_READS, rows))


def _merge(contender: Running, options: Options, section: Section, progress: Callable[[str], None]) -> None:
    rates, grown = [], []
    for _ in range(options.rounds):
        with wire.login(contender.port, timeout_s=120) as client, wide.growth(contender) as growth:
            begun = time.monotonic()
            client.sendall(wire.query_message(MERGED))
            wide.read_all(client, ROWS)
            rates.append(ROWS / (time.monotonic() - begun))
            grown.append((growth() or 0) / 1e6)
            progress(f"spread: {rates[-1]:.0f} rows/s merged, {grown[-1]:.1f} MB more")
    section.figures |= {RATE: rates, GROWTH: grown}
    row = [MERGED, spread(rates, 0), spread(grown, 1)]
    section.tables.append(table(("statement", "rows/s", "memory growth MB"), [row]))


def _copy(contender: Running, options: Options, section: Section, progress: Callable[[str], None]) -> None:
    rates = []
    with wire.login(contender.port, timeout_s=120) as client:
        for _ in range(options.rounds):
            client.sendall(wire.query_message("TRUNCATE loaded"))
            wire.read_answer(client)
            begun = time.monotonic()
            client.sendall(wire.query_message("COPY loaded FROM STDIN") + wire.copy_messages(LINES))
            wire.read_answer(client)
            rates.append(LINES.count(b"\n") / (time.monotonic() - begun))
            progress(f"spread: {rates[-1]:.0f} rows/s copied")
    section.figures[COPIED] = rates
    section.tables.append(table(("statement", "rows/s"), [["COPY FROM of 500,000 rows", spread(rates, 0)]]))


def _commits(
    stage: Stage, contender: Running, options: Options, section: Section, progress: Callable[[str], None]
) -> None:
    script = Path(stage.directory) / "spread.sql"
    script.write_text(SCRIPT)
    load = Load("simple", CLIENTS, options.seconds, script=script)
    samples: dict[str, list[Sample]] = {wire.DATABASE: [], "plain": []}
    for _ in range(options.rounds):
        for name, mine in samples.items():
            mine.append(pgbench.measure(stage, contender, replace(load, database=name)))
            progress(f"spread: {name} {mine[-1].tps:.0f} tps {mine[-1].note}")
            section.notes += [f"{name}: {mine[-1].note}"] if mine[-1].note else []
    section.figures[TWO_PHASE] = ratios(samples[wire.DATABASE], samples["plain"], tps)
    section.figures[ERRORS] = [float(sum(one.errors for mine in samples.values() for one in mine))]
    names = {wire.DATABASE: "in two phases", "plain": "plainly"}
    rows = [[f"two updates, committed {names[name]}", number(median(one.tps for one in mine))]
            for name, mine in samples.items()]  # fmt: skip
    section.tables.append(table((f"{CLIENTS} clients", "tps"), rows))


def _inserts(
    stage: Stage, contender: Running, options: Options, section: Section, progress: Callable[[str], None]
) -> None:
    """Rows of one table, whose shards are those of their ids."""
    rows = []
    for mode in ("simple", "prepared"):
        found: dict[str, list[Sample]] = {name: [] for name in INSERTS}
        for _ in range(options.rounds):
            for name, script in INSERTS.items():
                path = Path(stage.directory) / "insert.sql"
                path.write_text(script)
                load = Load(mode, CLIENTS, options.seconds, script=path)
                found[name].append(pgbench.measure(stage, contender, load))
                progress(f"spread: INSERT {name}, {mode}: {found[name][-1].tps:.0f} tps {found[name][-1].note}")
        section.figures[f"{DRAWN}, {mode}"] = ratios(found["with a drawn id"], found["with the id given"], tps)
        section.figures[ERRORS] += [float(sum(one.errors for mine in found.values() for one in mine))]
        rows.append([mode, *(spread([one.tps for one in mine], 0) for mine in found.values()),
                     ratio(section.figures[f"{DRAWN}, {mode}"])])  # fmt: skip
    names = [f"INSERT {name}, tps" for name in INSERTS]
    section.tables.append(table((f"{CLIENTS} clients", *names, "drawn / given"), rows))
