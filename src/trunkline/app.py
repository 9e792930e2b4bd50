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
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from trunkline import __version__, logs, process
from trunkline.admin.console import serve_console
from trunkline.config.settings import Config
from trunkline.config.target import wrong_setting
from trunkline.errors import ConfigError, TrunklineError
from trunkline.net.tasks import Tasks
from trunkline.proxy.instance import Drain, Instance
from trunkline.workers import spawning

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
    process.check_pidfile(settings.pidfile)
    if background:
        process.go_into_background(settings)
        logs.use(config, quiet=True)

    def load_again() -> Config:
        config = load()
        logs.use(config, quiet=quiet or background)
        return config

    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner, process.pidfile(settings.pidfile):
            return runner.run(supervise(load_again, config) if settings.workers > 1 else serve(load_again, config))
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


async def serve(load: Callable[[], Config], config: Config) -> int:
    """Run one instance from start to stop."""
    instance = Instance(load, config, serve_console)
    try:
        _install_signals(instance)
        async with _metrics(instance, config):
            port = instance.start()
            gc.freeze()  # what is here now stays: no collection has to look at it again
            _ready(port, config)
            await instance.stopped.wait()
    finally:
        process.notify("STOPPING=1")
        await instance.close()
    log.info("stopped")
    return 0


async def supervise(load: Callable[[], Config], config: Config) -> int:
    """Run several workers from start to stop."""
    from trunkline.workers.supervisor import Supervisor

    supervisor = Supervisor(load, config)
    try:
        _install_signals(supervisor)
        port = await supervisor.start()
        _ready(port, config)
        await supervisor.stopped.wait()
    finally:
        process.notify("STOPPING=1")
        await supervisor.close()
    log.info("stopped")
    return 0


def _ready(port: int, config: Config) -> None:
    log.info("ready port=%d version=%s config=%s", port, __version__, config.source)
    process.notify("READY=1")


class Operated(Protocol):
    """What signals are sent to: an instance, or the supervisor of several."""

    tasks: Tasks

    def reload(self) -> object:
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
async def _metrics(instance: Instance, config: Config) -> AsyncIterator[None]:
    """The HTTP endpoint, if there is to be one: only then is what it needs imported."""
    address = config.settings.metrics_addr
    if address is None:
        yield
        return
    from trunkline.metrics.endpoint import Endpoint

    try:
        endpoint = await Endpoint.open(instance, address)
    except OSError as error:
        message = f"cannot listen on {address}: {error.strerror or error}"
        raise wrong_setting("metrics_addr", message, config, os.environ) from None
    try:
        yield
    finally:
        await endpoint.close()


def _install_signals(instance: Operated) -> None:
    loop = asyncio.get_running_loop()
    actions: dict[signal.Signals, tuple[str, Callable[[], object]]] = {
        signal.SIGHUP: ("re-reading config", lambda: _reload(instance)),
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


def _reload(instance: Operated) -> None:
    process.notify(process.reloading())
    try:
        instance.reload()
    except TrunklineError as error:
        log.debug("reload failed: %s", error)  # the instance has said why
    process.notify("READY=1")
