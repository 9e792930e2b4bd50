"""When directories are read, and what is asked for keys that they lack."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.unit.pool.test_probe import row
from tests.unit.relay import READY, FarEnd, Relay, error, relay
from trunkline.config.key_kinds import Lookup
from trunkline.config.settings import DatabaseSettings
from trunkline.errors import ServerUnavailable
from trunkline.pool import directory_watch
from trunkline.pool.directory_watch import DirectoryWatch
from trunkline.protocol.messages import message
from trunkline.routing.keys.sharding import KeyMissing
from trunkline.routing.keys.sharding_builder import DirectoryTable

DATABASES = {"app": DatabaseSettings("app", hosts=("h",)), "shop/s0": DatabaseSettings("shop/s0", hosts=("127.0.0.1",))}
Rows = dict[str, str]


@dataclass
class Home:
    """The home shard: one directory `d`, and what is asked of it."""

    made: Relay
    watch: DirectoryWatch
    rows: Rows
    table: DirectoryTable
    later: list[Callable[[], None]] = field(default_factory=list)  # what is to happen in time
    asked: list[str] = field(default_factory=list)
    silent: bool = False
    refuses: str = ""
    _fetched: bool = False

    async def serve(self, until: Callable[[], bool]) -> None:
        """Answer what is asked until this is so."""
        async with asyncio.timeout(10):
            while not until():
                self.made.engine.dispatch()
                for _, far in self.made.opener.opened:
                    for kind, body in [] if self.silent or far.closed else far.frames():
                        assert kind == "Q"
                        self.answer(far, body[:-1].decode())
                await asyncio.sleep(0)

    def answer(self, far: FarEnd, sql: str) -> None:
        self.asked.append(sql)
        found: list[tuple[str, str]] = []
        if sql.startswith("DECLARE"):
            self._fetched = False
        elif sql.startswith("FETCH") and not self._fetched:
            found, self._fetched = list(self.rows.items()), True
        elif sql.startswith("SELECT"):
            found = [(key, shard) for key, shard in self.rows.items() if f"'{key}'" in sql]
        refused = [error("42501", self.refuses)] if self.refuses and not sql.startswith("SET") else []
        data = [message(b"D", row(key.encode(), shard.encode())) for key, shard in found]
        far.send(*refused, *data, READY)

    async def follow(self) -> None:
        following = asyncio.ensure_future(self.watch.follow([self.table], "s0", "ann"))
        await self.serve(following.done)
        await following
        await self.serve(lambda: self.watch._refreshing is None or self.watch._refreshing.done())

    async def notify(self, payload: str = "public.d") -> None:
        """And wait for the end of what comes of it."""
        readings = self.count("DECLARE")
        self.far.send(message(b"A", bytes(4) + b"trunkline_directory\0" + payload.encode() + b"\0"))
        await self.serve(lambda: self.count("DECLARE") > readings)
        await self.serve(lambda: bool(self.watch._refreshing and self.watch._refreshing.done()))

    async def lose(self) -> None:
        """The connection, and wait until that is known."""
        self.far.closed = True
        self.far.close()
        await self.serve(lambda: bool(self.later))

    @property
    def far(self) -> FarEnd:
        return self.made.opener.opened[-1][1]

    def count(self, word: str) -> int:
        return sum(sql.startswith(word) for sql in self.asked)

    def find(self, *keys: int) -> list[int | None]:
        return [self.table.directory.find(key) for key in keys]

    def want(self, key: int, told: list[BaseException | None]) -> None:
        """As a client whose statement has this key."""
        missing = self.table.directory.why_not(key)
        assert isinstance(missing, KeyMissing)
        assert self.table.directory.ask is not None
        self.table.directory.ask(key, told.append)

    def let_time_pass(self) -> None:
        due, self.later[:] = list(self.later), []
        for call in due:
            call()


@asynccontextmanager
async def home(rows: Rows) -> AsyncIterator[Home]:
    async with relay(databases=DATABASES) as made:
        watch = DirectoryWatch(made.pools, "shop")
        there = Home(made, watch, rows, DirectoryTable(Lookup("d", "k", "s"), "int8", ("s0", "s1")))
        made.pools.later = lambda delay_s, call: there.later.append(call)  # type: ignore[method-assign]
        yield there
        watch.close()


async def test_it_listens_before_it_reads() -> None:
    async with home({"1": "s0", "2": "s1"}) as there:
        await there.follow()
        assert [sql.split()[0] for sql in there.asked] == ["SET", "DECLARE", "FETCH", "FETCH", "CLOSE"]
        assert there.asked[0].endswith("LISTEN trunkline_directory")
        assert there.find(1, 2, 3) == [0, 1, None]
        assert there.watch.readings_of(there.table)[0] == 1
        assert there.watch.pid == there.made.opener.opened[0][0].pid


async def test_a_notification_has_it_read_again_and_absent_keys_forgotten() -> None:
    async with home({"1": "s0"}) as there:
        await there.follow()
        there.table.directory.learn_absent(7, "gone")
        there.rows.update({"1": "s1"})
        await there.notify()
        assert (there.find(1), there.table.directory.absent) == ([1], 0)
        there.far.send(message(b"A", bytes(4) + b"trunkline_directory\0public.other\0"))
        await there.made.settle()
        assert there.watch._due == set()


async def test_followed_again_what_is_known_is_read_in_the_background() -> None:
    async with home({"1": "s0"}) as there:
        await there.follow()
        there.rows.update({"1": "s1"})
        await there.watch.follow([there.table], "s0", "ann")
        assert there.find(1) == [0]
        await there.serve(lambda: there.find(1) == [1])
        assert len(there.made.opener.opened) == 1


async def test_when_the_connection_was_lost_all_is_read_by_a_new_one_that_listens() -> None:
    async with home({"1": "s0"}) as there:
        await there.follow()
        there.rows.update({"1": "s1"})
        await there.lose()
        assert (there.find(1), there.watch.pid) == ([0], 0)
        there.let_time_pass()
        await there.serve(lambda: there.find(1) == [1])
        assert there.count("SET") == 2


async def test_a_home_shard_that_has_moved_is_read_at_its_new_place() -> None:
    async with home({"1": "s0"}) as there:
        await there.follow()
        elsewhere = DatabaseSettings("shop/s0", hosts=("127.0.0.1",), ports=(5433,))
        there.made.pools.reconfigure(replace(there.made.pools.config, databases=DATABASES | {"shop/s0": elsewhere}))
        there.rows.update({"1": "s1"})
        await there.follow()
        await there.serve(lambda: there.find(1) == [1])
        assert [target.address.port for target in there.made.opener.calls] == [5432, 5433]


@pytest.mark.parametrize("harm", [asyncio.CancelledError, ValueError])
async def test_a_reading_that_was_broken_off_begins_again(harm: type[BaseException], monkeypatch: Any) -> None:
    async with home({"1": "s0"}) as there:
        await there.follow()
        there.rows.update({"1": "s1"})

        def breaks(*arguments: object) -> int:
            monkeypatch.undo()
            raise harm

        monkeypatch.setattr(directory_watch, "gather", breaks)
        await there.notify()
        await there.serve(lambda: bool(there.later))
        there.let_time_pass()
        await there.serve(lambda: there.find(1) == [1])


async def test_a_key_is_asked_for_once_however_many_want_it() -> None:
    async with home({"1": "s0"}) as there:
        await there.follow()
        there.rows.update({"7": "s1"})
        told: list[BaseException | None] = []
        for key in (7, 7, 8, 7):
            there.want(key, told)
        await there.serve(lambda: len(told) == 4)
        assert there.count("SELECT") == 1
        assert (told, there.find(7, 8)) == ([None] * 4, [1, None])
        assert str(there.table.directory.why_not(8)) == "the directory d does not have it"


async def test_who_comes_while_it_is_asked_for_waits_for_that_answer() -> None:
    async with home({}) as there:
        await there.follow()
        there.silent = True
        told: list[BaseException | None] = []
        there.want(7, told)
        await there.made.settle()
        for key in (7, 8, 9):
            there.want(key, told)
        there.silent = False
        await there.serve(lambda: len(told) == 4)
        asked = [sql.rpartition("ARRAY")[2] for sql in there.asked if sql.startswith("SELECT")]
        assert asked == ["['7']::int8[])", "['8', '9']::int8[])"]


async def test_that_a_key_is_absent_is_forgotten_in_time() -> None:
    async with home({}) as there:
        await there.follow()
        told: list[BaseException | None] = []
        there.want(7, told)
        await there.serve(lambda: len(told) == 1)
        assert not isinstance(there.table.directory.why_not(7), KeyMissing)
        there.let_time_pass()
        assert isinstance(there.table.directory.why_not(7), KeyMissing)


async def test_without_a_home_shard_keys_that_are_known_are_found_and_others_refused_with_the_reason() -> None:
    async with home({"1": "s0"}) as there:
        await there.follow()
        there.made.opener.refusal = ServerUnavailable("down")
        await there.lose()
        told: list[BaseException | None] = []
        there.want(7, told)
        await there.serve(lambda: len(told) == 1)
        assert there.find(1) == [0]
        assert str(there.table.directory.why_not(7)) == "the directory could not be asked: down"


async def test_the_first_time_a_home_shard_that_is_not_there_is_an_error() -> None:
    async with home({}) as there:
        there.made.opener.refusal = ServerUnavailable("down")
        with pytest.raises(ServerUnavailable):
            await there.watch.follow([there.table], "s0", "ann")


async def test_what_postgresql_refuses_is_said_once_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    async with home({"1": "s0"}) as there:
        there.refuses = "permission denied"
        await there.follow()
        await there.serve(lambda: bool(there.later))
        there.let_time_pass()
        await there.serve(lambda: bool(there.later))
        assert caplog.text.count("the directory d of shop: permission denied") == 1
        there.refuses = ""
        there.let_time_pass()
        await there.serve(lambda: there.find(1) == [0])


@pytest.mark.parametrize("harm", [asyncio.CancelledError, ValueError])
async def test_an_error_that_nobody_has_foreseen_is_told_to_who_waits(
    harm: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with home({}) as there:
        await there.follow()

        def fails(*arguments: object) -> None:
            raise harm

        monkeypatch.setattr(directory_watch, "learn", fails)
        told: list[BaseException | None] = []
        there.want(7, told)
        await there.serve(lambda: bool(told))
        assert [type(one) for one in told] == [harm]


async def test_closed_it_has_no_connection_and_opens_none() -> None:
    async with home({"1": "s0"}) as there:
        await there.follow()
        there.watch.close()
        await there.serve(lambda: bool(there.later))
        there.let_time_pass()
        await there.made.settle()
        assert (there.watch.pid, len(there.made.opener.opened)) == (0, 1)
