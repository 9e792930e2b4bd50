"""CREATE TABLE ... AS of what several shards have (spreading/creating.py), in one transaction."""

from __future__ import annotations

from dataclasses import replace

from trunkline.execution.spread.asked import Asked, Run
from trunkline.execution.spread.participants import Participants
from trunkline.execution.spread.selected import selected
from trunkline.execution.spread.write import Done, Part, all_of, ask
from trunkline.routing.spreading.creating import CreateAs
from trunkline.routing.spreading.quoting import full

_WHERE = b"SELECT pg_catalog.current_schema()"  # in which tables are made that name none


async def create_as(run: Run, program: CreateAs, asked: Asked, participants: Participants) -> Done:
    """Make it at home, and fill it; the answer is the number of its rows."""
    assert asked.inner is not None
    await participants.begin()
    home = await participants.at(asked.home)
    ask(asked, Part(home, program.make))
    made = Done()
    await all_of(asked, [Part(home, program.make)], made)
    if program.selected is None:
        return made
    schema = program.schema
    if not schema:
        ((found,),) = await home.ask(_WHERE)
        schema = (found or b"").decode()
    names = [field.name.decode() for field in asked.inner.described.fields or ()]
    columns = (*program.columns, *names[len(program.columns) :])
    filling = replace(program.selected, into=f"INSERT INTO {full(schema, program.name)}", columns=columns)
    filled = await selected(run, filling, asked, participants)
    done = Done()
    done.tags.append(b"SELECT " + filled.tag().split()[-1])
    return done
