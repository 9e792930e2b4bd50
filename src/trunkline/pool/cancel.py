"""Cancel requests to servers: a cancel reaches the query it was meant for, or nothing.

Rule: from the moment a cancel is decided until its own connection has reached its end, the server does not go back to
its pool. PostgreSQL closes that connection after it has signalled the backend, so a signal that is under way can hit
only what runs there now, never the next client's query. Without an end in time, the server is closed instead.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from trunkline.errors import TrunklineError
from trunkline.failpoints import failpoint
from trunkline.net.inbox import ConnectionEnded
from trunkline.pool.leases import Leases
from trunkline.pool.opening import Opener
from trunkline.pool.server import ServerLink
from trunkline.protocol.messages import cancel_request

log = logging.getLogger("trunkline.pool")


def cancel_query(opener: Opener, owner: Leases, server: ServerLink, timeout_s: float) -> Coroutine[Any, Any, None]:
    """Have the server stop what it is doing now, if it is still doing it once we have reached it.

    The server is held back from this call on, and not only from when the coroutine first runs: in between it might
    finish, and be somebody else's.
    """
    server.cancels += 1
    server.cancel_unit = server.units_done
    return _cancel(opener, owner, server, server.units_done, timeout_s)


async def _cancel(opener: Opener, owner: Leases, server: ServerLink, asked: int, timeout_s: float) -> None:
    try:
        failpoint("cancel_decided")
        async with asyncio.timeout(timeout_s or None):
            await _deliver(opener, owner, server, asked)
        failpoint("cancel_over")
    except (TimeoutError, OSError, TrunklineError) as error:
        log.warning("cancel request for %s was lost: %s", server, str(error) or type(error).__name__)
        server.close_needed = True
    except BaseException:
        server.close_needed = True  # it is not known how far the request came
        raise
    finally:
        server.cancels -= 1
        owner.cancel_over(server)


async def _deliver(opener: Opener, owner: Leases, server: ServerLink, asked: int) -> None:
    link, inbox = await opener.dial(owner, server.address, secure=server.is_tls)
    try:
        failpoint("cancel_opened")
        if not server.opened or server.units_done != asked or not server.session.running:
            return  # it has ended by itself: there is nothing to stop, and nothing may be stopped instead
        link.write(cancel_request(server.pid, server.cancel_key))
        failpoint("cancel_sent")
        while True:
            await inbox.more()
    except ConnectionEnded:
        return
    finally:
        link.close()


async def cancel_blindly(opener: Opener, owner: Leases, server: ServerLink, timeout_s: float) -> None:
    """Stop the query of a server connection that is being closed anyway: nobody else can meet the signal."""
    pid, key = server.pid, server.cancel_key
    try:
        async with asyncio.timeout(timeout_s or None):
            link, inbox = await opener.dial(owner, server.address, secure=False)
            try:
                link.write(cancel_request(pid, key))
                failpoint("blind_cancel_sent")
                while True:
                    await inbox.more()
            except ConnectionEnded:
                pass
            finally:
                link.close()
    except (TimeoutError, OSError, TrunklineError) as error:
        log.debug("cancel request for pid %d was lost: %s", pid, str(error) or type(error).__name__)
