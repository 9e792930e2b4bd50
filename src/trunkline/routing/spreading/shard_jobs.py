"""What PostgreSQL runs in no transaction: VACUUM, indexes that are built while others write, and the like. Pure.

Each shard does its part by itself, so some may have done it and others not. What makes the shards one again is that the
same statement may be said again: a shard that has what it asks for is passed over, and what a failed attempt has left
there is dropped first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from trunkline.routing.planning.commands import shards_of, table_of
from trunkline.routing.plans.plan import Refusal
from trunkline.routing.schema.catalog import Name
from trunkline.routing.spreading import defining
from trunkline.routing.spreading.quoting import full, identifier
from trunkline.routing.spreading.request import Request
from trunkline.routing.sql import Node
from trunkline.routing.text.tokens import tokens_of


class Work(Enum):
    """What it does to indexes."""

    CREATE = "CREATE INDEX"
    DROP = "DROP INDEX"
    REBUILD = "REINDEX"
    UPKEEP = "upkeep"  # nothing that could be left half done


@dataclass(frozen=True, slots=True)
class ShardJobs:
    """`texts` by the shards that get them, the home shard's first."""

    work: Work
    tag: bytes
    texts: tuple[tuple[int, bytes], ...]
    table: Name | None = None
    index: str = ""  # as to_regclass() reads it; "": PostgreSQL chooses the name
    called: str = ""  # the same as a name
    unless: bool = False  # IF EXISTS, IF NOT EXISTS
    in_block: bool = False  # a block may run it too
    empty: bytes = b""  # of CREATE: the same for an empty table that has the name of this one, in pg_temp
    name_at: int = 0  # where the name goes into the text, if PostgreSQL would choose it

    @property
    def mask(self) -> int:
        """The shards concerned."""
        mask = 0
        for shards, _ in self.texts:
            mask |= shards
        return mask

    def text(self, shard: int, index: str) -> bytes:
        """What a shard is told; `index` is a name that was chosen, or empty."""
        text = next(text for shards, text in self.texts if shards >> shard & 1)
        if not index:
            return text
        return text[: self.name_at] + b" " + identifier(index).encode() + text[self.name_at :]


def plan(request: Request) -> ShardJobs | Refusal | None:
    """None for what PostgreSQL does in a transaction, as all else."""
    planned = _PLANS.get(request.kind)
    return planned(request) if planned is not None else None


def _whole(request: Request) -> tuple[tuple[int, bytes], ...]:
    return ((request.sharding.every, request.sql),)


# --- indexes ----------------------------------------------------------------------------------------------------------


def _create(request: Request) -> ShardJobs | Refusal | None:
    node = request.node
    if not node.get("concurrent"):
        return None
    refusal = defining.why_not(request)
    if refusal is not None:
        return refusal
    relation = node["relation"]
    found = request.analysis().find(relation.get("schemaname"), relation["relname"])
    name = str(node.get("idxname", ""))
    words = tokens_of(request.sql)
    behind = next(end for _, start, end in words if request.sql[start:end].lower() == b"concurrently")
    unique = "UNIQUE " if node.get("unique") else ""
    head = f"CREATE {unique}INDEX {identifier(name) if name else ''} ON pg_temp.{identifier(found.name)}"
    return ShardJobs(
        Work.CREATE,
        b"CREATE INDEX",
        _whole(request),
        (found.schema, found.name),
        full(found.schema, name) if name else "",
        name,
        bool(node.get("if_not_exists")),
        empty=head.encode() + b" " + request.sql[_end_of_name(words, request.sql, relation["location"]) :],
        name_at=behind,
    )


def _end_of_name(words: list[tuple[str, int, int]], sql: bytes, start: int) -> int:
    """Behind a name that may have a schema, which begins there."""
    name = [(sql[at:end], end) for _, at, end in words if at >= start]
    place = 0
    while name[place + 1][0] == b".":
        place += 2
    return name[place][1]


def _drop(request: Request) -> ShardJobs | None:
    node = request.node
    if not node.get("concurrent"):
        return None
    dropped = [[one["String"]["sval"] for one in wrapped["List"]["items"]] for wrapped in node["objects"]]
    index, called = (".".join(map(identifier, dropped[0])), dropped[0][-1]) if len(dropped) == 1 else ("", "")
    unless = bool(node.get("missing_ok"))
    return ShardJobs(Work.DROP, b"DROP INDEX", _whole(request), index=index, called=called, unless=unless)


def _reindex(request: Request) -> ShardJobs | Refusal | None:
    node, table = request.node, None
    if "relation" in node:
        found = table_of(request.analysis(), node["relation"].get("schemaname"), node["relation"]["relname"])
        table = (found.schema, found.name)
        if not _is_concurrent(node) and (found.relation is None or found.relation.kind != "p"):
            return None
    elif node["kind"] != "REINDEX_OBJECT_SCHEMA" and "name" in node:
        return Refusal("The databases of the shards may have other names.", "Leave out the name.")
    return ShardJobs(Work.REBUILD, b"REINDEX", _whole(request), table)


def _is_concurrent(node: Node) -> bool:
    """REINDEX CONCURRENTLY, or (CONCURRENTLY on)."""
    options = [one["DefElem"] for one in node.get("params", ())]
    given = [one.get("arg") for one in options if one["defname"] == "concurrently"]
    return bool(given) and _is_on(given[-1])


def _is_on(argument: Node | None) -> bool:
    """As defGetBoolean reads it (define.c)."""
    if argument is None:
        return True
    word = next(iter(argument.values()))
    said = word.get("sval", word.get("ival", word.get("boolval", "")))
    return str(said).lower() in ("on", "true", "1")


# --- tables -----------------------------------------------------------------------------------------------------------


def _vacuum(request: Request) -> ShardJobs:
    node, analysis = request.node, request.analysis()
    tag, in_block = (b"VACUUM", False) if node.get("is_vacuumcmd") else (b"ANALYZE", True)
    tables = [one["VacuumRelation"] for one in node.get("rels", ())]
    if not tables:
        return ShardJobs(Work.UPKEEP, tag, _whole(request), in_block=in_block)
    placed = []
    for one in tables:
        found = analysis.find(one["relation"].get("schemaname"), one["relation"]["relname"])
        only = "" if one["relation"].get("inh") else "ONLY "
        columns = ", ".join(identifier(column["String"]["sval"]) for column in one.get("va_cols", ()))
        text = only + full(found.schema, found.name) + (f" ({columns})" if columns else "")
        placed.append((shards_of(analysis, found), text))
    first = tables[0]["relation"]
    ends = [end for _, _, end in tokens_of(request.sql[: first["location"]])]
    head = request.sql[: ends[-1] if first.get("inh") else ends[-2]]  # without the word ONLY
    return ShardJobs(Work.UPKEEP, tag, _by_shard(request, head, placed), in_block=in_block)


def _by_shard(request: Request, head: bytes, placed: list[tuple[int, str]]) -> tuple[tuple[int, bytes], ...]:
    """The client's own text where all of its tables are; elsewhere it is about those that are there."""
    found: dict[bytes, int] = {}
    sharding = request.sharding
    for shard in sorted(range(len(sharding.shards)), key=lambda shard: shard != sharding.home):
        here = [text for shards, text in placed if shards >> shard & 1]
        if here:
            text = request.sql if len(here) == len(placed) else head + b" " + ", ".join(here).encode()
            found[text] = found.get(text, 0) | 1 << shard
    return tuple((shards, text) for text, shards in found.items())


def _cluster(request: Request) -> ShardJobs | None:
    """Of one table it is done in a transaction, but for a partitioned one."""
    if "relation" in request.node:
        relation = request.node["relation"]
        found = request.analysis().find(relation.get("schemaname"), relation["relname"])
        if found.relation is None or found.relation.kind != "p":
            return None
    return ShardJobs(Work.UPKEEP, b"CLUSTER", _whole(request))


_PLANS = {
    "ClusterStmt": _cluster,
    "DropStmt": _drop,
    "IndexStmt": _create,
    "ReindexStmt": _reindex,
    "VacuumStmt": _vacuum,
}


# --- what a shard has, and what it does -------------------------------------------------------------------------------


class Has(Enum):
    """What a shard has by the name of the index."""

    NOTHING = "nothing"
    VALID = "valid"
    LEFTOVER = "leftover"  # not valid, of this table, and nobody is at it
    OTHER = "other"


class Step(Enum):
    RUN = "run"
    PASS = "pass"


def steps(program: ShardJobs, home: int, seen: Mapping[int, Has], *, equal: bool) -> dict[int, Step]:
    """What each shard does. One that is not in the answer does nothing, for the statement fails or ends at others.

    `equal`: all valid ones are what the statement would make.
    """
    wants = (Has.NOTHING, Has.LEFTOVER) if program.work is Work.CREATE else (Has.VALID, Has.LEFTOVER, Has.OTHER)
    wanting = [shard for shard, found in seen.items() if found in wants]
    others = [shard for shard in seen if shard not in wanting]
    completes = program.work is Work.DROP or program.unless or (
        equal and all(seen[shard] is Has.VALID for shard in others)
    )  # fmt: skip
    if wanting and completes:
        passed = dict.fromkeys((one for one in others if seen[one] is not Has.OTHER), Step.PASS)
        return dict.fromkeys(seen, Step.RUN) | passed
    if not others:
        return dict.fromkeys(seen, Step.RUN)
    return {home if home in others else others[0]: Step.RUN}
