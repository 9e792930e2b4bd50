"""A log that cannot be written: the disk is full, or nobody reads it. Clients never wait for either."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import sys
from pathlib import Path

from tests.integration.conftest import ProxyFactory
from tests.integration.postgres import Postgres
from tests.integration.proxy import DEFAULTS, USER, toml
from tests.integration.wire import Wire
from trunkline.log_handlers import PIECE


async def test_row_85_a_full_disk_costs_lines_of_the_log_and_nothing_else(
    postgres: Postgres, start_proxy: ProxyFactory
) -> None:
    proxy = await start_proxy({"logfile": "/dev/full"}, databases={"postgres": postgres})
    for _ in range(3):
        assert await proxy.fetch("SELECT 1") == [(1,)]
    assert f"login: db=postgres user={USER}" in proxy.log  # standard error has room
    assert "Logging error" not in proxy.log and "Traceback" not in proxy.log


async def test_row_86_a_reader_of_the_log_that_is_stuck_holds_up_nobody(tmp_path: Path) -> None:
    config = DEFAULTS | {"auth_type": "trust", "databases": {"app": {"primary": "postgres://127.0.0.1:1/x"}}}
    config = {name: value for name, value in config.items() if name != "auth_file"}
    (tmp_path / "trunkline.toml").write_text(toml(config))
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4 * PIECE)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "trunkline", "serve", str(tmp_path / "trunkline.toml"), stderr=writing
    )
    os.close(writing)
    said = b""
    while (ready := re.search(rb"ready port=(\d+)", said)) is None:
        said += await asyncio.to_thread(os.read, reading, PIECE)
    for _ in range(300):  # each is a line of the log, and more than there is room for
        async with await Wire.connect(int(ready[1])) as wire:
            await wire.send_startup({"user": USER, "database": "nowhere"})
            assert (await wire.read_frame()).type == "E"
    said = await asyncio.to_thread(os.read, reading, 1 << 20)
    async with await Wire.connect(int(ready[1])) as wire:
        await wire.send_startup({"user": USER, "database": "nowhere"})
        assert (await wire.read_frame()).type == "E"
    said += await asyncio.to_thread(os.read, reading, 1 << 20)
    process.terminate()
    assert await process.wait() == 0
    os.close(reading)
    assert re.search(rb"\d+ lines of the log were lost, for nobody took them\n", said)
