"""The composition root: builds the instance inside its loop, wires console and signals, and runs until told to stop.

Signals are PgBouncer's: HUP reloads, TERM drains and a second TERM stops at once, INT waits for servers, QUIT stops,
USR1 pauses and USR2 resumes.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Protocol

from trunkline import __version__, logs, process
from trunkline.admin.console import serve_console
from trunkline.config.global_settings import Settings
from trunkline.config.settings import Config
from trunkline.config.target import wrong_setting
from trunkline.errors import ConfigError, TrunklineError
from trunkline.net.tasks import Tasks
from trunkline.proxy.instance import Drain, Instance
from trunkline.proxy.listener import Listener, Take
from trunkline.workers import spawning
from trunkline.workers.handover import Handover, Sockets, listening_at

if TYPE_CHECKING:
    from trunkline.metrics.endpoint import Endpoint, Subject

log = logging.getLogger("trunkline")


def run(load: Callable[[], Config], *, quiet: bool = False, background: bool = False, root: bool = True) -> int:
    """Serve what `load` returns until a signal; the exit code. Errors of the first load are the caller's.

    `quiet` keeps the log from standard error, `background` ends the caller's process while another one serves, and
    `root` says whether it may be the superuser's.
    """
    what = spawning.inherited(os.environ)
    config = load()
    if isinstance(what, spawning.Worker):
        return _run_worker(load, config, what, quiet=quiet or background)
    settings = config.settings
    process.become(settings.user)
    if not root and os.geteuid() == 0:
        raise ConfigError("PgBouncer should not run as root", hint="Set user, or start with -u USER.")
    logs.use(config, quiet=quiet)
    for warning in config.warnings:
        log.warning("%s", warning)
    if what is None:
        process.check_pidfile(settings.pidfile)
    if background and what is not None:
        logs.use(config, quiet=True)
    elif background:
        process.go_into_background(settings)
        logs.use(config, quiet=True)

    def load_again() -> Config:
        config = load()
        logs.use(config, quiet=quiet or background)
        return config

    try:
        start = supervise if settings.workers > 1 else serve
        pidfile = process.pidfile(settings.pidfile, takes_over=what is not None)
        with asyncio.Runner(loop_factory=loop_factory()) as runner, pidfile:
            return runner.run(start(load_again, config, what))
    except Exception as error:
        if background:  # nobody sees what the caller could say
            log.critical("%s", error, exc_info=not isinstance(error, TrunklineError))
        raise


def _run_worker(load: Callable[[], Config], config: Config, what: spawning.Worker, *, quiet: bool) -> int:
    from trunkline.workers.worker import serve

    def load_again() -> Config:
        config = load()
        logs.use(config, quiet=quiet, worker=what.number)
        return config

    logs.use(config, quiet=quiet, worker=what.number)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(serve(load_again, config, what))


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop, or plain asyncio where there is none."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def serve(load: Callable[[], Config], config: Config, what: spawning.Successor | None = None) -> int:
    """Run one instance from start to stop; as the successor of a program that runs, if it is one."""
    sockets = listening_at(config.settings, what)
    async with AsyncExitStack() as stack:
        stack.callback(sockets.close)  # last: nobody may be watching a descriptor that is closed
        instance = Instance(load, config, serve_console)
        stack.push_async_callback(instance.close)
        _install_signals(instance)
        endpoint = await stack.enter_async_context(_metrics(lambda: _own(instance), config, sockets))
        listener: Listener

        def enter(settings: Settings, take: Take) -> Listener:
            nonlocal listener
            listener = Listener(settings, take, sockets.listening, lent=sockets.lent)
            return listener

        port = instance.start(enter, _elders_before(what))
        handover = Handover(instance, port, sockets, lambda: _abandon(instance.tasks, listener, endpoint))
        stack.push_async_callback(handover.close)
        instance.may_end = handover.elders_gone
        if what is not None:
            instance.clients.cancels.elsewhere = handover.cancel
            await handover.follow(what)
        gc.freeze()  # what is here now stays: no collection has to look at it again
        _ready(port, config)
        await instance.stopped.wait()
        _stopping(handover)
    log.info("stopped")
    return 0


async def supervise(load: Callable[[], Config], config: Config, what: spawning.Successor | None = None) -> int:
    """Run several workers from start to stop."""
    from trunkline.workers.supervisor import Supervisor

    sockets = listening_at(config.settings, what)
    supervisor = Supervisor(load, config, sockets, _elders_before(what))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(supervisor.close)
        _install_signals(supervisor)
        endpoint = await stack.enter_async_context(_metrics(lambda: supervisor, config, sockets))
        port = await supervisor.start()
        left = partial(_abandon, supervisor.tasks, supervisor.listener, endpoint)
        handover = Handover(supervisor, port, sockets, left)
        stack.push_async_callback(handover.close)
        supervisor.may_end = handover.elders_gone
        if what is not None:
            supervisor.elsewhere = handover.cancel
            await handover.follow(what)
        _ready(port, config)
        await supervisor.stopped.wait()
        _stopping(handover)
    log.info("stopped")
    return 0


def _elders_before(what: spawning.Successor | None) -> int:
    """Of a successor: everybody before it may serve on for a while."""
    return time.time_ns() if what is not None else 0


def _own(instance: Instance) -> Subject:
    from trunkline.metrics.endpoint import Own

    return Own(instance)


def _abandon(tasks: Tasks, listener: Listener, endpoint: Endpoint | None) -> None:
    """Leave what comes to our sockets to another process."""
    listener.abandon()
    if endpoint is not None:
        tasks.spawn(endpoint.close(), "metrics")


def _stopping(handover: Handover) -> None:
    if not handover.retired:  # then another process is the service
        process.notify("STOPPING=1")


def _ready(port: int, config: Config) -> None:
    log.info("ready port=%d version=%s config=%s", port, __version__, config.source)
    process.notify("READY=1")


class Operated(Protocol):
    """What signals are sent to: an instance, or the supervisor of several."""

    tasks: Tasks

    async def reload(self) -> object:
        """Read the configuration again and use it; ConfigError, and nothing changed, if it is not good."""

    def drain(self, what: Drain = ...) -> None:
        """Take no newcomers, let everybody finish, then stop. A second call stops at once."""

    def stop(self) -> None:
        """End now."""

    async def pause(self) -> None:
        """Give out no servers; returns when all are closed."""

    async def resume(self) -> None:
        """Undo `pause`."""


@contextlib.asynccontextmanager
async def _metrics(subject: Callable[[], Subject], config: Config, sockets: Sockets) -> AsyncIterator[Endpoint | None]:
    """The HTTP endpoint, if there is to be one: only then is what it needs imported."""
    address, inherited = config.settings.metrics_addr, sockets.metrics
    if inherited is not None and (address is None or address.port not in (0, inherited.getsockname()[1])):
        inherited.close()
        inherited = None
    if address is None:
        sockets.metrics = None
        yield None
        return
    from trunkline.metrics.endpoint import Endpoint

    try:
        endpoint = await Endpoint.open(subject(), address, inherited)
    except OSError as error:
        message = f"cannot listen on {address}: {error.strerror or error}"
        raise wrong_setting("metrics_addr", message, config, os.environ) from None
    sockets.metrics = endpoint.sock
    try:
        yield endpoint
    finally:
        await endpoint.close()


def _install_signals(instance: Operated) -> None:
    loop = asyncio.get_running_loop()
    actions: dict[signal.Signals, tuple[str, Callable[[], object]]] = {
        signal.SIGHUP: ("re-reading config", lambda: instance.tasks.spawn(_reload(instance), "reload")),
        signal.SIGTERM: (
            "shutting down, waiting for all clients disconnect",
            lambda: instance.drain(Drain.CLIENTS),
        ),
        signal.SIGINT: (
            "shutting down, waiting for all servers connections to be released",
            lambda: instance.drain(Drain.SERVERS),
        ),
        signal.SIGQUIT: ("fast exit", instance.stop),
        signal.SIGUSR1: ("pausing all activity", lambda: instance.tasks.spawn(instance.pause(), "pause")),
        signal.SIGUSR2: ("continuing from PAUSE", lambda: instance.tasks.spawn(instance.resume(), "resume")),
    }
    for number, (words, action) in actions.items():
        loop.add_signal_handler(number, _on_signal, number, words, action)


def _on_signal(number: signal.Signals, words: str, action: Callable[[], object]) -> None:
    log.info("got %s, %s", number.name, words)  # PgBouncer's words
    action()


async def _reload(instance: Operated) -> None:
    process.notify(process.reloading())
    try:
        await instance.reload()
    except TrunklineError as error:
        log.debug("reload failed: %s", error)  # the instance has said why
    process.notify("READY=1")
