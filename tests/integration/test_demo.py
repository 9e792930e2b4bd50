"""``trunkline demo`` as a newcomer runs it: it answers its own lines, and leaves nothing behind however it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.demo.test_cluster import postgres_processes
from tests.integration.waiting import wait_until
from trunkline.config.target import read_target
from trunkline.demo.databases import ACCOUNTS_OF_BRANCH, BRANCHES, TELLERS_OF_BRANCH, TENANTS
from trunkline.demo.examples import EXAMPLES, TENANT, run_line
from trunkline.demo.process import ChildProcess
from trunkline.demo.serving import child_environment
from trunkline.pool.online_check import look

DEMO = [sys.executable, "-m", "trunkline", "demo", "--port", "0"]


@contextmanager
def demo(directory: Path, *options: str) -> Iterator[ChildProcess]:
    """The command with its temporary files in a directory of ours, so that what it leaves can be seen."""
    temporary = directory / "tmp"
    temporary.mkdir(exist_ok=True)
    environment = child_environment({"PATH": os.environ["PATH"], "TMPDIR": str(temporary)})
    process = ChildProcess([*DEMO, *options], directory / "demo.log", env=environment)
    process.start()
    try:
        yield process
    finally:
        process.kill()


async def until_ready(process: ChildProcess) -> None:
    await wait_until(lambda: "Ctrl-C" in process.log or not process.is_running, 30, what="the demo is ready")
    assert process.is_running, process.log


def printed_lines(log: str) -> list[str]:
    return re.findall(r"^  \S.*:\n    (\S.*)$", log, re.MULTILINE)


def line_for(log: str, database: str) -> str:
    """The beginning of a psql line for this database, up to its statement."""
    plain = printed_lines(log)[0].split(" -c ")[0]
    return f"{plain.removesuffix('/app')}/{database}"


async def test_smoke_runs_the_lines_it_prints_and_is_content(tmp_path: Path) -> None:
    with demo(tmp_path, "--smoke") as process:
        assert await process.wait(60) == 0, process.log
    assert len(printed_lines(process.log)) == len(EXAMPLES)
    assert process.log.count("right:") == len(EXAMPLES)
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_everything_and_removes_it(tmp_path: Path, number: signal.Signals) -> None:
    with demo(tmp_path) as process:
        await until_ready(process)
        (directory,) = (tmp_path / "tmp").iterdir()
        assert len(postgres_processes(directory)) == 4
        process.send_signal(number)
        assert await process.wait(30) == 0, process.log
    assert postgres_processes(directory) == []
    assert list((tmp_path / "tmp").iterdir()) == []


async def test_a_killed_demo_takes_its_servers_with_it(tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        await until_ready(process)
        process.kill()
    await wait_until(lambda: postgres_processes(tmp_path) == [], 20)


async def test_kept_data_is_there_the_next_time(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    with demo(tmp_path, "--keep", str(kept)) as process:
        await until_ready(process)
        app, shop = line_for(process.log, "app"), line_for(process.log, "shop")
        code, answer = await run_line(f"{app} -c 'DELETE FROM pgbench_accounts WHERE aid <= 10'")
        assert (code, answer.strip()) == (0, "DELETE 10")
        code, answer = await run_line(f"""{shop} -c "UPDATE tenants SET name = 'kept' WHERE id = {TENANT}" """)
        assert (code, answer.strip()) == (0, "UPDATE 1")
        process.send_signal(signal.SIGINT)
        assert await process.wait(30) == 0, process.log
    (tmp_path / "demo.log").unlink()
    with demo(tmp_path, "--keep", str(kept)) as process:
        await until_ready(process)
        code, answer = await run_line(printed_lines(process.log)[0])
        assert code == 0 and "99990" in answer
        code, answer = await run_line(
            f"{line_for(process.log, 'shop')} -c 'SELECT name FROM tenants WHERE id = {TENANT}'"
        )
        assert code == 0 and "kept" in answer


async def test_every_row_lies_where_the_configuration_says(tmp_path: Path) -> None:
    branches = range(1, BRANCHES + 1)
    keys = {
        "shop": [("tenants", "id", tenant) for tenant in range(1, TENANTS + 1)],
        "bench": [
            *(("pgbench_branches", "bid", branch) for branch in branches),
            *(("pgbench_tellers", "tid", teller) for teller in range(1, BRANCHES * TELLERS_OF_BRANCH + 1)),
            *(("pgbench_accounts", "aid", branch * ACCOUNTS_OF_BRANCH) for branch in branches),
            *(("pgbench_accounts", "aid", (branch - 1) * ACCOUNTS_OF_BRANCH + 1) for branch in branches),
        ],
    }
    with demo(tmp_path) as process:
        await until_ready(process)
        for database, expected in keys.items():
            asked = [f"-c 'SELECT count(*) FROM {table} WHERE {key} = {value}'" for table, key, value in expected]
            code, answer = await run_line(f"{line_for(process.log, database)} -At {' '.join(asked)}")
            assert (code, answer.split()) == (0, ["1"] * len(expected))


async def test_nothing_stands_in_the_way_of_its_shards(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    with demo(tmp_path, "--keep", str(kept)) as process:
        await until_ready(process)
        config = read_target(str(kept / "trunkline.toml"), {})
        assert [str(finding) for finding in await look(config, {"PGUSER": "demo"})] == []


async def test_a_failover_loses_no_commit_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with demo(tmp_path, "--failover") as process:
        assert await process.wait(90) == 0, process.log
    told, found = re.findall(r"commits acknowledged: ([\d,]+), found on the new primary: ([\d,]+)", process.log)[0]
    assert told == found != "0"
    assert "writes go on" in process.log and "statements go on at" in process.log
    assert "WRONG" not in process.log, process.log
    assert postgres_processes(tmp_path) == []
    assert list((tmp_path / "tmp").iterdir()) == []


async def test_a_failover_has_servers_of_its_own(tmp_path: Path) -> None:
    with demo(tmp_path, "--failover", "--smoke") as process:
        assert await process.wait(30) == 2
    assert "Traceback" not in process.log


async def test_a_busy_port_is_a_clear_error_with_a_hint(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        with demo(tmp_path, "--port", port) as process:
            assert await process.wait(30) == 1
    assert f"port {port} of 127.0.0.1 is in use" in process.log
    assert "--port" in process.log and "Traceback" not in process.log
