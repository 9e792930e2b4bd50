"""The console's rows over a driver's connection, and why there are none."""

from __future__ import annotations

import pytest

from tests.integration.proxy import Proxy
from trunkline.errors import ServerUnavailable
from trunkline.pool.console_link import ConsoleLink


async def test_rows_come_by_the_names_of_their_columns(proxy: Proxy) -> None:
    async with await ConsoleLink.open(proxy.dsn()) as console:
        (row,) = [row for row in await console.rows("SHOW LISTS") if row["list"] == "pools"]
        assert row["items"] >= 1


async def test_a_refusal_and_an_end_are_told_in_words(proxy: Proxy) -> None:
    with pytest.raises(ServerUnavailable, match="password authentication failed"):
        await ConsoleLink.open(proxy.dsn(password="wrong"))
    with pytest.raises(ServerUnavailable, match="cannot be reached"):
        await ConsoleLink.open("postgres://127.0.0.1:1/x")
    async with await ConsoleLink.open(proxy.dsn()) as console:
        with pytest.raises(ServerUnavailable, match="SHOW NOTHING: invalid command"):
            await console.rows("SHOW NOTHING")
