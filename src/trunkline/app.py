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
import sys
from collections.abc import AsyncIterator, Callable
from typing import ClassVar

from trunkline import __version__
from trunkline.admin.console import serve_console
from trunkline.config.settings import Config
from trunkline.config.target import wrong_setting
from trunkline.errors import TrunklineError
from trunkline.proxy.instance import Drain, Instance

log = logging.getLogger("trunkline")

_LEVELS = (logging.INFO, logging.DEBUG)


def run(load: Callable[[], Config]) -> int:
    """Serve what `load` returns until a signal; the exit code. Errors of the first load are the caller's."""
    config = load()
    start_log(config.settings.verbose)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        return runner.run(serve(load, config))


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop, or plain asyncio where there is none."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


class OneLine(logging.Formatter):
    """What a stranger names himself is logged, so it must not be able to end a line and begin one of its own."""

    _ESCAPES: ClassVar = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}

    def formatMessage(self, record: logging.LogRecord) -> str:
        return super().formatMessage(record).translate(self._ESCAPES)


def start_log(verbose: int) -> None:
    """One line an event, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger("trunkline")
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[min(verbose, 1)])
    root.propagate = False
    logging.getLogger("asyncio").addHandler(handler)


async def serve(load: Callable[[], Config], config: Config) -> int:
    """Run one instance from start to stop."""
    instance = Instance(load, config, serve_console)
    try:
        _install_signals(instance)
        async with _metrics(instance, config):
            port = instance.start()
            gc.freeze()  # what is here now stays: no collection has to look at it again
            log.info("ready port=%d version=%s config=%s", port, __version__, config.source)
            await instance.stopped.wait()
    finally:
        await instance.close()
    log.info("stopped")
    return 0


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


def _install_signals(instance: Instance) -> None:
    loop = asyncio.get_running_loop()
    actions: dict[signal.Signals, Callable[[], object]] = {
        signal.SIGHUP: lambda: _reload(instance),
        signal.SIGTERM: lambda: instance.drain(Drain.CLIENTS),
        signal.SIGINT: lambda: instance.drain(Drain.SERVERS),
        signal.SIGQUIT: instance.stop,
        signal.SIGUSR1: lambda: instance.tasks.spawn(instance.pause(), "pause"),
        signal.SIGUSR2: lambda: instance.tasks.spawn(instance.resume(), "resume"),
    }
    for number, action in actions.items():
        loop.add_signal_handler(number, action)


def _reload(instance: Instance) -> None:
    try:
        instance.reload()
    except TrunklineError as error:
        log.debug("reload failed: %s", error)  # the instance has said why
