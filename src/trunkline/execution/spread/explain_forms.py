"""Plans of several shards as one, in each of EXPLAIN's formats. Pure.

A plan comes as PostgreSQL says it: lines in TEXT, one text of several lines in the other formats. In those the plans
become one list, and each has the name of its shard as a property.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from json import dumps
from xml.sax.saxutils import escape

Plans = Mapping[str, Sequence[bytes]]  # by the name of the shard


def _text(way: str, plans: Plans) -> list[bytes]:
    """As Citus has it: what a shard says stands below it as below a node of the plan."""
    lines = [b"Several Shards", b"  Answer: " + way.encode()]
    for shard, said in plans.items():
        lines.append(b"  ->  Shard " + shard.encode())
        for number, line in enumerate(said):
            inner = b"      ->  " if number == 0 else b"          " if line.startswith(b" ") else b"      "
            lines.append(inner + line)
    return lines


def _json(way: str, plans: Plans) -> list[bytes]:
    parts = []
    for shard, said in plans.items():
        inner = b"\n".join(said).strip().removeprefix(b"[").removesuffix(b"]").strip(b"\n ")
        parts.append(inner.replace(b"{", b'{\n    "Shard": %b,' % dumps(shard).encode(), 1))
    return [b"[\n  " + b",\n  ".join(parts) + b"\n]"]


def _yaml(way: str, plans: Plans) -> list[bytes]:
    parts = []
    for shard, said in plans.items():
        inner = b"\n".join(said).removeprefix(b"- ")
        parts.append(b"- Shard: %b\n  %b" % (dumps(shard).encode(), inner))
    return [b"\n".join(parts)]


def _xml(way: str, plans: Plans) -> list[bytes]:
    queries = []
    head = b""
    for shard, said in plans.items():
        head, _, rest = b"\n".join(said).partition(b"\n")
        query = rest.rpartition(b"\n")[0]
        queries.append(query.replace(b"<Query>", b"<Query>\n    <Shard>%b</Shard>" % escape(shard).encode(), 1))
    return [b"\n".join([head, *queries, b"</explain>"])]


FORMS: Mapping[str, Callable[[str, Plans], list[bytes]]] = {"json": _json, "text": _text, "xml": _xml, "yaml": _yaml}
