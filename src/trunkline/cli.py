"""The command line: arguments to settings to what runs, one function a command.

Contract: exit code 0 is success, 1 a failure that was explained on standard error, 2 a command line that makes no
sense, 130 an interruption. What a command needs is imported when it runs, since most processes need one command.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

import trunkline
from trunkline.config.settings import Config
from trunkline.errors import ConfigError, TrunklineError
from trunkline.serve import explain
from trunkline.serve import serve as run_server

DEFAULT_DEMO_PORT = 6432

app = typer.Typer(
    name="trunkline",
    help="A PostgreSQL connection pooler, replica balancer and shard router behind one address.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Target = Annotated[
    str | None, typer.Argument(help="FILE.toml, pgbouncer.ini or postgres:// URL; DATABASE_URL if left out.")
]
File = Annotated[Path, typer.Argument(help="The TOML file or pgbouncer.ini to check.")]
IniFile = Annotated[Path, typer.Argument(help="PgBouncer's configuration file.")]
Online = Annotated[
    bool, typer.Option("--online", help="Ask every server, and every shard for its schema, and say what does not fit.")
]
WriteCatalog = Annotated[
    Path | None, typer.Option("--write-catalog", help="With --online: keep what the shards say, for `route --catalog`.")
]
Inputs = Annotated[
    list[str] | None, typer.Argument(help="SQL, a server's log, or pg_stat_statements as CSV; - is stdin.")
]
ConfigFile = Annotated[Path, typer.Option("--config", help="The TOML file with the shards and their tables.")]
CatalogFile = Annotated[
    Path | None,
    typer.Option("--catalog", help="Written by `check --online --write-catalog`; else the shards are asked."),
]
Database = Annotated[str | None, typer.Option("--database", help="Which, if the file has several with shards.")]
FormName = Annotated[
    str | None,
    typer.Option("--format", help="sql, csvlog, jsonlog, stderr or pg_stat_statements; else it is recognised."),
]
SearchPath = Annotated[str, typer.Option("--search-path", help="Schemas of names without one, as in a,b.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a statement, and one for the summary.")]
Smoke = Annotated[bool, typer.Option("--smoke", help="Run the printed lines, check their answers, and stop.")]
OwnPort = Annotated[int | None, typer.Option("--port", min=1, max=65535, help="Its port, if it is not in the file.")]
Failover = Annotated[
    bool, typer.Option("--failover", help="Kill a primary under load, promote its replica, and tell what clients saw.")
]
Keep = Annotated[Path | None, typer.Option(help="Keep the data in this directory, and use it again.")]
Console = Annotated[
    str | None, typer.Argument(help="URL of the console, or the file that is served; postgres://127.0.0.1:6432.")
]
Once = Annotated[bool, typer.Option("--once", help="Print one picture and stop.")]
Interval = Annotated[float, typer.Option("--interval", min=0.1, help="Seconds between two pictures.")]
Directory = Annotated[
    Path | None,
    typer.Option("--directory", help="Where the files go; without it they are printed, as one YAML stream."),
]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port of Trunkline; 0 for any free one.")]
PgBin = Annotated[Path | None, typer.Option(help="Directory of PostgreSQL's programs (or TRUNKLINE_PG_BIN).")]


export = typer.Typer(help="Print or write what other programs need to know of Trunkline.", no_args_is_help=True)
app.add_typer(export, name="export")


def main() -> None:
    app()


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"trunkline {trunkline.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """What stands before a command; its callbacks do the work."""


@app.command()
def serve(target: Target = None) -> None:
    """Serve a configuration file, or the one server that a URL names."""
    raise typer.Exit(run_server(target))


@app.command()
def upgrade(target: Target = None, port: OwnPort = None) -> None:
    """Replace the program that serves this configuration by the one that is installed now, without a lost client."""
    from trunkline.config.target import read_target
    from trunkline.workers.handover import order_upgrade

    try:
        port = port or read_target(target, os.environ).settings.listen_port
        asyncio.run(order_upgrade(port, os.geteuid(), lambda words: print(words, flush=True)))
    except TrunklineError as error:
        _fail(error)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@app.command()
def check(file: File, online: Online = False, write_catalog: WriteCatalog = None) -> None:
    """Check a configuration file: every error at once, with file, line and column."""
    from trunkline.config.target import read_target

    try:
        config = read_target(str(file), os.environ)
    except TrunklineError as error:
        _fail(error)
    if write_catalog is not None and not online:
        raise typer.BadParameter("it is written of what the shards say: add --online", param_hint="--write-catalog")
    for warning in config.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if online:
        if write_catalog is not None:
            _write_catalog(config, write_catalog)
        _check_online(config)
    print(f"{file}: ok")


@app.command()
def top(target: Console = None, once: Once = False, interval: Interval = 2.0) -> None:
    """Watch pools, waits, latencies, pins and statements of a running Trunkline."""
    from trunkline.top import screen
    from trunkline.top.target import url_of

    try:
        url = url_of(target, os.environ)
        asyncio.run(screen.once(url) if once or not sys.stdout.isatty() else screen.live(url, interval))
    except TrunklineError as error:
        _fail(error)


@export.command("dashboards")
def export_dashboards(directory: Directory = None) -> None:
    """A dashboard for Grafana, and alert rules for Prometheus."""
    from trunkline.metrics.alerts import alert_rules
    from trunkline.metrics.dashboard import dashboard

    files = {"trunkline-dashboard.json": dashboard(), "trunkline-alerts.yaml": alert_rules()}
    for name, text in files.items():
        if directory is None:
            print(f"---  # {name}\n{text}", end="")
            continue
        try:
            directory.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(text)
        except OSError as problem:
            _fail(ConfigError(f"{directory / name} cannot be written: {problem.strerror}"))
        print(directory / name)


@app.command("import-pgbouncer")
def import_pgbouncer(file: IniFile) -> None:
    """Write PgBouncer's configuration as TOML, with what became of each setting."""
    from trunkline.config.pgbouncer.importing import imported

    try:
        print(imported(str(file)), end="")
    except TrunklineError as error:
        _fail(error)


def _write_catalog(config: Config, file: Path) -> None:
    from trunkline.execution.offline import read_catalogs
    from trunkline.routing.schema.catalog_file import to_text

    try:
        file.write_text(to_text(asyncio.run(read_catalogs(config, os.environ))))
    except TrunklineError as error:
        _fail(error)
    except OSError as problem:
        _fail(ConfigError(f"{file} cannot be written: {problem.strerror}"))


def _check_online(config: Config) -> None:
    """Print what is found; exit code 1 if any of it is an error."""
    from trunkline.pool.online_check import look
    from trunkline.pool.server_check import look_at_servers

    found = [*asyncio.run(look_at_servers(config, os.environ)), *asyncio.run(look(config, os.environ))]
    for finding in found:
        print(finding)
    if any(finding.is_error for finding in found):
        raise typer.Exit(1)


@app.command()
def route(
    config: ConfigFile,
    inputs: Inputs = None,
    catalog: CatalogFile = None,
    database: Database = None,
    form: FormName = None,
    search_path: SearchPath = "public",
    as_json: AsJson = False,
) -> None:
    """Say which shards recorded statements would go to, and why, without running any of them."""
    from trunkline.config.target import read_target
    from trunkline.execution.offline import open_database
    from trunkline.routing.text.records import Form

    if form is not None and form not in list(Form):
        raise typer.BadParameter(f"it is one of {', '.join(Form)}", param_hint="--format")
    try:
        path = [name.strip() for name in search_path.split(",") if name.strip()]
        opened = open_database(read_target(str(config), os.environ), os.environ, database, catalog, path)
        for problem in opened.problems:
            print(f"error: {problem}", file=sys.stderr)
        for name, judged in opened.judged(inputs or [], Form(form) if form is not None else None):
            if as_json:
                print(json.dumps({"input": name, **judged.as_json(opened.judge.sharding)}))
            else:
                print(f"{name}:{judged.record.line}: {' '.join(judged.record.sql.decode(errors='replace').split())}")
                print("\n".join(f"  {line}" for line in judged.lines), end="\n\n")
    except TrunklineError as error:
        _fail(error)
    print(json.dumps(opened.summary.as_json()) if as_json else "\n".join(opened.summary.lines()))


@app.command()
def demo(
    smoke: Smoke = False,
    failover: Failover = False,
    keep: Keep = None,
    port: Port = DEFAULT_DEMO_PORT,
    pg_bin: PgBin = None,
) -> None:
    """Start two shards with data, each a real PostgreSQL with a replica, and Trunkline in front of them."""
    from trunkline.demo.demo import run_demo
    from trunkline.demo.failover import run_failover

    if failover and (smoke or keep is not None):
        raise typer.BadParameter("it has servers of its own, and ends by itself", param_hint="--failover")
    running = (
        run_failover(port=port, pg_bin=pg_bin)
        if failover
        else run_demo(port=port, keep=keep, smoke=smoke, pg_bin=pg_bin)
    )
    try:
        code = asyncio.run(running)
    except TrunklineError as error:
        _fail(error)
    raise typer.Exit(code)


def _fail(error: TrunklineError) -> NoReturn:
    print(explain(error, color=sys.stderr.isatty()), file=sys.stderr)
    raise typer.Exit(1)
