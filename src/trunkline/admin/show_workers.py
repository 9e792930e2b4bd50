"""SHOW WORKERS: the processes that serve as this instance, and how many clients each has."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime

from trunkline.admin import columns
from trunkline.admin.commands import Answer, Command, Request, register
from trunkline.admin.result import Row
from trunkline.proxy.instance import Instance

READY = "serving"


async def _show(request: Request) -> Answer:
    siblings = request.instance.siblings
    if siblings is None:
        return Answer([_alone(request.instance)])
    return Answer([(*row[:-1], date(row[-1])) for row in await siblings.roster()])


def _alone(instance: Instance) -> Row:
    clients = len(instance.clients) + len(instance.clients.logging_in)
    return 1, os.getpid(), READY, clients, date(time.time() - instance.pools.now + instance.started_at)


def date(moment: float) -> str:
    """As SHOW CLIENTS has them."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


register(Command(("SHOW", "WORKERS"), _show, "SHOW", columns.WORKERS))
