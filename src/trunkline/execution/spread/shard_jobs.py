"""A statement that PostgreSQL runs in no transaction, over several shards: what its client hears of that."""

from __future__ import annotations

import asyncio

from trunkline.errors import StatementRefused, TrunklineError
from trunkline.execution.spread.asked import Asked
from trunkline.execution.spread.binding import EXECUTE, bind, parse
from trunkline.execution.spread.calls import Said
from trunkline.execution.spread.jobs import Job, State, is_lost
from trunkline.execution.spread.participants import Participants
from trunkline.execution.spread.scatter import to_end
from trunkline.execution.spread.shard_work import ShardWork
from trunkline.execution.spread.write import Done, all_of, ask
from trunkline.execution.spread.write import Part as Written
from trunkline.protocol.messages import SYNC, notice_response
from trunkline.routing.spreading.shard_jobs import ShardJobs, Work
from trunkline.shard_errors import JobFailed, StatementFailed

_AGAIN = "Say the same statement again when the cause is gone: shards that have done it are passed over."
_LEFT = "An index that is not valid may be left at: {}."


async def shard_jobs(program: ShardJobs, asked: Asked, participants: Participants) -> Said | Done:
    """Do it at every shard that it concerns, and return when all are through."""
    if participants.in_transaction or any(participants):
        return await _in_transaction(program, asked, participants)
    work = participants.beside.work = ShardWork(program, asked, participants)
    running = participants.coordination.tasks.spawn(work.run(), "jobs of shards")
    try:
        error = await asyncio.shield(running)
    except asyncio.CancelledError:
        if not participants.beside.abandoned:
            work.stop()
        raise
    finally:
        participants.beside.work = None
    participants.beside.notices += _notices(program, work, asked.home)
    error = error or _outcome(work.job, asked.home, leaves_half=program.work is not Work.UPKEEP)
    if error is not None:
        raise error
    return Said(program.tag)


# --- in a transaction -------------------------------------------------------------------------------------------------


async def _in_transaction(program: ShardJobs, asked: Asked, participants: Participants) -> Done:
    """ANALYZE is done in it; of all else PostgreSQL says that it can not be."""
    if not program.in_block:
        return await _refused_by_home(program, asked, participants)
    await participants.begin()
    await participants.will_write(program.mask)
    done = Done()
    for shard in sorted(range(len(participants.pools)), key=lambda shard: shard != asked.home):
        if program.mask >> shard & 1:
            part = Written(await participants.at(shard), program.text(shard, ""))
            ask(asked, part)
            await all_of(asked, [part], done)
    done.tags = [program.tag]
    return done


async def _refused_by_home(program: ShardJobs, asked: Asked, participants: Participants) -> Done:
    assert asked.request is not None
    one = await participants.at(asked.home)
    before = b"" if participants.in_transaction else parse(b"SELECT 1") + bind((), (), ()) + EXECUTE
    call = parse(asked.request.sql) + bind((), (), ()) + EXECUTE + SYNC
    names = ("parse_unnamed", "bind", "execute")
    one.request(before + call, (*(names if before else ()), *names, "sync"))
    await to_end(one)
    raise StatementRefused(f"{program.tag.decode()} over several shards cannot be part of a transaction")


# --- what is told -----------------------------------------------------------------------------------------------------


def _notices(program: ShardJobs, work: ShardWork, home: int) -> list[bytes]:
    """Of the home shard, and what others have said besides; then who had nothing to do."""
    found: list[bytes] = []
    for shard in sorted(work.notices, key=lambda shard: (shard != home, shard)):
        found += [notice for notice in work.notices[shard] if notice not in found]
    for part in work.job.parts:
        if part.state is State.PASSED and program.work is Work.CREATE:
            text = f'relation "{work.called}" already exists on shard {part.name}, skipping'
            found.append(notice_response("42P07", text))
        elif part.state is State.PASSED:
            text = f'index "{work.called}" does not exist on shard {part.name}, skipping'
            found.append(notice_response("00000", text))
    return found


def _outcome(job: Job, home: int, *, leaves_half: bool) -> TrunklineError | None:
    """What failed: as one server says it, and where, if it is not so everywhere and that matters."""
    failed = [part for part in job.parts if part.state is State.FAILED]
    if not failed:
        return None
    first = min(failed, key=lambda part: (part.shard != home, part.shard))
    error = first.error
    assert error is not None
    said = error.said if isinstance(error, StatementFailed) else b""
    done = job.names(State.DONE, State.PASSED)
    left = ", ".join(part.name for part in failed if part.leftover)
    is_alike = not done or (first.shard == home and not leaves_half)
    if is_alike and not left and said and not is_lost(error):
        return error
    detail = " ".join(filter(None, (error.detail, _where(job, done), left and _LEFT.format(left))))
    if said and not is_lost(error):
        assert isinstance(error, StatementFailed)
        error.said = _with_fields(said, {b"D": detail.encode(), b"H": (error.hint or _AGAIN).encode()})
        return error
    found = JobFailed(error.message, detail=detail)
    found.sqlstate = JobFailed.sqlstate if is_lost(error) else error.sqlstate
    return found


def _where(job: Job, done: str) -> str:
    not_done = f"Not done on shard {job.names(State.FAILED, State.NOT_BEGUN)}"
    return f"{not_done}; done on shard {done}." if done else f"{not_done}."


def _with_fields(said: bytes, fields: dict[bytes, bytes]) -> bytes:
    """An ErrorResponse of a server's with other fields (section 55.8)."""
    kept = [part for part in said.split(b"\0") if part and part[:1] not in fields]
    return b"\0".join([*kept, *(key + value for key, value in fields.items()), b"", b""])
