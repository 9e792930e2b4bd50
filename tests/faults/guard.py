"""What has to be true after every fault: nothing leaked, the counters as before, and the next client served alone.

The promise of ``Guard``: made before a fault, ``check`` afterwards waits until the proxy holds no client's connection
and no more descriptors of any other kind than before, and until SHOW POOLS counts nobody.
"""

from __future__ import annotations

import secrets

from tests.faults.held import held
from tests.integration.proxy import Proxy
from tests.integration.waiting import wait_until
from tests.integration.wire import Wire, error_fields, rows

COUNTERS = ("cl_active", "cl_waiting", "sv_active", "sv_active_cancel", "sv_being_canceled", "sv_login", "sv_tested")
CONSOLE = "pgbouncer"  # SHOW POOLS counts the console's own connection under this name


class Guard:
    """One proxy before and after a fault."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.others = held(proxy.pid, proxy.port).others

    def _is_quiet(self) -> bool:
        now = held(self.proxy.pid, self.proxy.port)
        return now.clients == 0 and now.others <= self.others

    async def _counts_nobody(self) -> bool:
        pools = await self.proxy.admin("SHOW POOLS")
        return not any(row.get(name) for row in pools if row["database"] != CONSOLE for name in COUNTERS)

    async def check(self) -> None:
        """All descriptors of clients are closed and every counter is back."""
        assert self.proxy.is_running, self.proxy.log[-4000:]
        await wait_until(self._is_quiet, what="the proxy has closed what it opened for clients")
        await wait_until(self._counts_nobody, what="SHOW POOLS counts nobody")
        await wait_until(self._is_quiet, what="the console's descriptor is closed too")


async def log_in(proxy: Proxy, database: str = "one") -> Wire:
    """A logged-in client of the proxy's own user; the caller closes it."""
    wire = await Wire.connect(proxy.port)
    await wire.login("postgres", proxy.users["postgres"], database=database)
    return wire


async def expect_own_answers(proxy: Proxy, database: str = "one") -> None:
    """A new client sees exactly its own answers, over both protocols, and its session is clean."""
    async with await log_in(proxy, database) as wire:
        for _ in range(2):
            nonce = secrets.token_hex(8)
            frames = await wire.query(f"SELECT '{nonce}', pg_my_temp_schema() <> 0 AND false")
            assert "".join(frame.type for frame in frames) == "TDCZ", frames
            assert rows(frames) == [[nonce.encode(), b"f"]]
            assert frames[-1].body == b"I"


async def expect_refusal(wire: Wire, sqlstate: str) -> dict[str, str]:
    """One FATAL error with this SQLSTATE, then the end; the fields of the error."""
    frames = await wire.read_frames_to_end()
    errors = [error_fields(frame) for frame in frames if frame.type == "E"]
    assert [(fields["S"], fields["C"]) for fields in errors] == [("FATAL", sqlstate)], frames
    assert frames[-1].type == "E", f"bytes behind a FATAL error: {frames}"
    return errors[0]
