"""A worker: an instance whose connections come from a supervisor, and that answers for itself when others ask.

Signals are the supervisor's to receive; whatever is sent to the whole process group is ignored here. A worker whose
supervisor is gone lets its clients finish, since nobody new can come.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

from trunkline.admin.commands import ACTS, TOLD, Request
from trunkline.admin.console import serve_console
from trunkline.config.settings import Config
from trunkline.metrics.loop_lag import PERIOD_S, LoopLag
from trunkline.metrics.readings import Source
from trunkline.net.link import number_links
from trunkline.net.tasks import Tasks
from trunkline.proxy.identity import Identity, Peer
from trunkline.proxy.instance import Drain, Instance
from trunkline.workers import spawning
from trunkline.workers.channel import Arguments, Channel, ChannelEnded
from trunkline.workers.common_gate import InCommon
from trunkline.workers.handed import Handed
from trunkline.workers.shares import Shares

log = logging.getLogger("trunkline.workers")

REPORT_S = 0.05
POLL_S = 0.01
_IGNORED = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


async def serve(load: Callable[[], Config], config: Config, what: spawning.Worker) -> int:
    """Run one worker from start to stop."""
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    number_links(what.number, what.count)
    instance = Instance(load, config, serve_console)
    worker = Worker(instance, what.number, what.count)
    handed = spawning.adopt(what.connections)
    try:
        await worker.open(spawning.adopt(what.channel))
        worker.entrance = Handed(handed, what.port, instance.reception.take)
        instance.start(lambda settings, take: worker.entrance, what.elders_before)
        gc.freeze()
        log.info("serves")
        worker.channel.tell("ready")
        await instance.stopped.wait()
    finally:
        await worker.close()
        await instance.close()
    return 0


class Worker:
    """One end of the channel to the supervisor; the other workers are reached through it."""

    entrance: Handed
    channel: Channel

    def __init__(self, instance: Instance, number: int, count: int) -> None:
        self.number = number
        self._instance = instance
        self._tasks = Tasks()
        self._told = (0, 0)
        self._lag = LoopLag(time.monotonic())
        self._shares = instance.pools.budget = instance.clients.shares = Shares(instance, count)
        self._in_common = InCommon(instance.routers.coordinations, number, self.ask)
        self._verbs = {**self._shares.verbs, **self._in_common.verbs}
        instance.siblings = self
        instance.clients.cancels.elsewhere = self.cancel

    async def open(self, sock: socket.socket) -> None:
        """Begin to talk."""
        self.channel = await Channel.open(sock, self._serve, self._on_orphaned)
        self._shares.channel = self._in_common.channel = self.channel
        self._tasks.spawn(self._report(), "report")
        self._tasks.spawn(self._keep_lag(), "lag")

    async def close(self) -> None:
        await self._tasks.cancel()
        self.channel.close()

    async def _report(self) -> None:
        clients = self._instance.clients
        while True:
            await asyncio.sleep(REPORT_S)
            now = (len(clients) + len(clients.logging_in), self.entrance.taken)
            if now != self._told:
                self._told = now
                self.channel.tell("load", clients=now[0], taken=now[1])

    async def _keep_lag(self) -> None:
        while True:
            await asyncio.sleep(PERIOD_S)
            self._lag.on_timer(time.monotonic())

    def _on_orphaned(self) -> None:
        self._in_common.lost()
        if not self._instance.stopped.is_set() and not self._instance.door.draining:
            log.error("the supervisor is gone: clients may finish what they have begun")
            self._instance.drain(Drain.CLIENTS)

    # --- what this one asks of the others ---------------------------------------------------------------------------

    async def cancel(self, pid: int, key: bytes) -> bool:
        with contextlib.suppress(ChannelEnded):
            return bool(await self.channel.ask("cancel", pid=pid, key=key.hex()))
        return False

    async def ask(self, verb: str, /, **arguments: Any) -> list[Any]:
        try:
            answers: list[Any] = await self.channel.ask("all", verb=verb, arguments=arguments)
        except ChannelEnded:
            return []
        return answers

    async def roster(self) -> list[Any]:
        found: list[Any] = await self.channel.ask("roster")
        return found

    def shut_down(self, drain: Drain | None) -> None:
        self.channel.tell("shut_down", drain=drain.value if drain is not None else None)

    # --- what others ask of this one --------------------------------------------------------------------------------

    async def _serve(self, verb: str, arguments: Arguments) -> Any:
        of_parts = self._verbs.get(verb)
        return await (of_parts(**arguments) if of_parts is not None else _VERBS[verb](self, **arguments))

    async def _on_cancel(self, pid: int, key: str) -> bool:
        return await self._instance.clients.cancels.from_elsewhere(pid, bytes.fromhex(key))

    async def _on_show(self, name: str) -> Any:
        return TOLD[name](self._instance)

    async def _on_metrics(self) -> Any:
        from trunkline.metrics.merging import told  # only where somebody asks for them

        return told(Source(self._instance, self._lag))

    async def _on_act(self, name: str, argument: str) -> None:
        await ACTS[name](
            Request(self._instance, Identity(self._instance.clients, Peer("", "")), argument, passed_on=True)
        )

    async def _on_set(self, name: str, value: str) -> None:
        self._instance.set(name, value)

    async def _on_kill_client(self, number: int) -> bool:
        return self._instance.operation.kill_client(number)

    async def _on_drain(self, what: str) -> None:
        self._instance.drain(Drain(what))

    async def _on_stop(self) -> None:
        self._instance.stop()

    async def _on_retire(self, given: int) -> None:
        while self.entrance.taken < given:  # noqa: ASYNC110 - who is on the way is let in
            await asyncio.sleep(POLL_S)
        self._instance.retire()

    async def _on_reload(self) -> None:
        await self._instance.reload()

    async def _on_pause(self, database: str) -> None:
        await self._instance.pause(database)

    async def _on_resume(self, database: str) -> None:
        await self._instance.resume(database)


_VERBS: dict[str, Callable[..., Awaitable[Any]]] = {
    "act": Worker._on_act,
    "cancel": Worker._on_cancel,
    "drain": Worker._on_drain,
    "kill_client": Worker._on_kill_client,
    "metrics": Worker._on_metrics,
    "pause": Worker._on_pause,
    "reload": Worker._on_reload,
    "resume": Worker._on_resume,
    "retire": Worker._on_retire,
    "set": Worker._on_set,
    "show": Worker._on_show,
    "stop": Worker._on_stop,
}
