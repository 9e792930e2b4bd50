"""FaultProxy: listens on a free port of the loopback, relays to its target, and has the faults that are in force."""

from __future__ import annotations

import asyncio
import random
import secrets
import socket
import time
from collections import Counter
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

from tests.faults.fault_proxy.actions import Action
from tests.faults.fault_proxy.conversation import Conversation
from tests.faults.fault_proxy.frames import Side
from tests.faults.fault_proxy.rules import Fault, Rule
from tests.integration.waiting import wait_until

HOST = "127.0.0.1"
BACKLOG = 512


class FaultProxy:
    """Between a client and ``host:port``; the same ``seed`` makes the same choices again."""

    def __init__(
        self, host: str, port: int, *, seed: int | None = None, records: bool = False, before_postgres: bool = False
    ) -> None:
        """``records`` keeps a transcript of each connection; ``before_postgres`` says that process ids are real."""
        self.target = (host, port)
        self.seed = secrets.randbits(32) if seed is None else seed
        self.random = random.Random(self.seed)
        self.records = records
        self.before_postgres = before_postgres
        self.host = HOST
        self._listener = _bound(0)
        self.port: int = self._listener.getsockname()[1]
        self.in_force: dict[Side, list[Fault]] = {"fe": [], "be": []}
        self.counts: Counter[tuple[Side, str]] = Counter()
        """Faults done, by kind."""
        self.accepted = 0
        self.live: dict[int, Conversation] = {}
        self.past: list[Conversation] = []
        """Ended conversations, kept when they are recorded."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: list[BaseException] = []
        self._up_at = 0.0

    def __repr__(self) -> str:
        return f"<FaultProxy :{self.port} -> {self.target} seed={self.seed} {dict(self.counts)}>"

    # --- life ---------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        self.up()
        print(self)  # pytest shows it with a failure
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for conversation in list(self.live.values()):
            conversation.reset()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.down()
        self._listener.close()
        if kind is None and self._failures:
            raise self._failures[0]

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run beside the relay, until it ends or the proxy does; what it raises is raised at the end."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        failure = None if task.cancelled() else task.exception()
        if failure is not None:
            self._failures.append(failure)

    # --- connections --------------------------------------------------------------------------------------------

    def down(self) -> None:
        """Refuse new connections, at the level of TCP, until ``up``. The port stays ours."""
        if asyncio.get_running_loop().remove_reader(self._listener):
            listener, self._listener = self._listener, _bound(self.port)
            listener.close()

    def up(self) -> None:
        """Accept new connections."""
        self._listener.listen(BACKLOG)
        asyncio.get_running_loop().add_reader(self._listener, self._accept)

    async def down_for(self, seconds: float) -> None:
        """Refuse for so long; of several such times the last to end counts."""
        self.down()
        self._up_at = max(self._up_at, time.monotonic() + seconds)
        await asyncio.sleep(seconds)
        if time.monotonic() >= self._up_at:
            self.up()

    def _accept(self) -> None:
        try:
            accepted, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        accepted.setblocking(False)
        self.spawn(self._serve(accepted, self.accepted))
        self.accepted += 1

    async def _serve(self, accepted: socket.socket, number: int) -> None:
        client = await asyncio.open_connection(sock=accepted)
        try:
            server = await asyncio.open_connection(*self.target)
        except OSError:
            client[1].close()
            return
        conversation = Conversation(self, number, client, server)
        self.live[number] = conversation
        try:
            await conversation.run()
        finally:
            del self.live[number]
            if self.records:
                self.past.append(conversation)

    # --- faults -------------------------------------------------------------------------------------------------

    def add(self, rule: Rule, action: Action) -> Fault:
        """From now on, at every frame that the rule is for; the fault counts what it has seen and done."""
        fault = Fault(rule, action)
        self.in_force[rule.side] = [one for one in self.in_force[rule.side] if not one.spent] + [fault]
        return fault

    def remove(self, fault: Fault) -> None:
        self.in_force[fault.rule.side] = [one for one in self.in_force[fault.rule.side] if one is not fault]

    def clear(self) -> None:
        """No fault is in force any more; what was done to connections stays done."""
        self.in_force = {"fe": [], "be": []}

    async def strike(self, action: Action, *, conn: int | None = None, side: Side = "be") -> int:
        """Do it now, to one connection or to all there are; to how many."""
        struck = [one for one in list(self.live.values()) if conn in (None, one.number)]
        for conversation in struck:
            await conversation.strike(action, side)
        return len(struck)

    def count(self, side: Side, action: Action) -> None:
        self.counts[side, action.name] += 1

    async def happened(self, name: str, times: int = 1) -> None:
        """Wait until actions of this name have been done so often."""
        await wait_until(
            lambda: sum(n for (_, done), n in self.counts.items() if done == name) >= times, what=f"{name} has happened"
        )


def _bound(port: int) -> socket.socket:
    """A socket that has the port and does not listen; SO_REUSEPORT lets our next have it before this is closed."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.setblocking(False)
    made.bind((HOST, port))
    return made
