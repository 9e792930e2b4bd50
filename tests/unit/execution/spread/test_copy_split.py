"""Rows of COPY data, cut and put before their shards, whatever pieces they come in."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Sequence

import pytest

from trunkline.execution.spread.copy_split import CSV, TEXT, Splitter, Unsplit
from trunkline.routing.keys.shard_functions import HashFunction, Rule
from trunkline.routing.keys.sharding import ShardFunction
from trunkline.routing.plans.evaluation import ReadyPlan
from trunkline.routing.plans.plan import Equals, Parameter, RoutePlan, Verdict
from trunkline.routing.text.fingerprint import Fingerprint


def by_length(key: tuple[bytes | None, ...]) -> int:
    """An even length is on shard 0, an odd one on 1, NULL on 2."""
    return 4 if key[0] is None else 1 << len(key[0]) % 2


def split(data: bytes, form: int = TEXT, keys: Sequence[int] = (0,), size: int = 0, **options: object) -> list[bytes]:
    """What each of three shards gets; `size` is that of a piece."""
    splitter = Splitter(3, 0, form, keys, by_length, **options)  # type: ignore[arg-type]
    return taken(splitter, data, size)


def taken(splitter: Splitter, data: bytes, size: int = 0) -> list[bytes]:
    out = [b"", b"", b""]
    for at in range(0, len(data), size or max(len(data), 1)):
        splitter.feed(data[at : at + (size or len(data))])
        for shard in range(3):
            out[shard] += content(splitter.take(shard))
    splitter.end()
    return [out[shard] + content(splitter.take(shard)) for shard in range(3)]


def content(message: bytes) -> bytes:
    assert not message or (message[:1], int.from_bytes(message[1:5], "big")) == (b"d", len(message) - 1)
    return message[5:]


@pytest.mark.parametrize("size", [0, 1, 2, 7])
@pytest.mark.parametrize(
    ("data", "options", "expected"),
    [
        (b"a\tx\nbb\ty\n\\N\tz\n", {}, [b"bb\ty\n", b"a\tx\n", b"\\N\tz\n"]),
        (b"a\tx\nbb\ty", {}, [b"bb\ty", b"a\tx\n", b""]),
        (b"a\\\nb\tx\nbb\\\\\ty\n", {}, [b"", b"a\\\nb\tx\nbb\\\\\ty\n", b""]),
        (b"a\\\tb\tx\n\\x41\\102\t\n", {}, [b"\\x41\\102\t\n", b"a\\\tb\tx\n", b""]),
        (b"a\r\nbb\r\n", {}, [b"bb\r\n", b"a\r\n", b""]),
        (b"a\nbb\r\n", {}, [b"", b"a\nbb\r\n", b""]),
        (b"a\n\\.\nbb\n", {}, [b"", b"a\n", b""]),
        (b"a\n\\.", {}, [b"", b"a\n\\.", b""]),
        (b"a\n\\.\nbb\n", {"form": CSV, "delimiter": b","}, [b"\\.\nbb\n", b"a\n", b""]),
        (b"a\n\\.\nbb\n", {"form": CSV, "delimiter": b",", "csv_marker": True}, [b"", b"a\n", b""]),
        (b"a\n\\.", {"form": CSV, "delimiter": b",", "csv_marker": True}, [b"\\.", b"a\n", b""]),
        (b"head\na\nbb\n", {"header": True}, [b"head\nbb\n", b"head\na\n", b"head\n"]),
        (b"x|a\ny|bb\n", {"keys": (1,), "delimiter": b"|"}, [b"y|bb\n", b"x|a\n", b""]),
        (b"x\ny\tbb\n", {"keys": (1,)}, [b"x\ny\tbb\n", b"", b""]),
        (b'"a",x\n"b""b",y\n,z\n"",z\n', {"form": CSV, "delimiter": b",", "null": b""},
         [b'"",z\n', b'"a",x\n"b""b",y\n', b",z\n"]),
        (b'"a\nb",x\nbb,"\n"\n', {"form": CSV, "delimiter": b",", "null": b""}, [b'bb,"\n"\n', b'"a\nb",x\n', b""]),
        (b"'a\\'b',x\nbb,y\n", {"form": CSV, "delimiter": b",", "null": b"", "quote": b"'", "escape": b"\\"},
         [b"bb,y\n", b"'a\\'b',x\n", b""]),
        (b'"",x\n,y\n', {"form": CSV, "delimiter": b",", "null": b"", "force_null": True}, [b"", b"", b'"",x\n,y\n']),
        (b'"",x\n,y\n', {"form": CSV, "delimiter": b",", "null": b"", "force_not_null": True},
         [b'"",x\n,y\n', b"", b""]),
        (b'bb,"open\n', {"form": CSV, "delimiter": b",", "null": b""}, [b'bb,"open\n', b"", b""]),
    ],
)  # fmt: skip
def test_each_row_goes_to_the_shard_of_its_key(
    data: bytes, options: dict[str, object], expected: list[bytes], size: int
) -> None:
    assert split(data, size=size, **options) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(("data", "form"), [(b"a\\.\n", TEXT), (b"a\rb\r", TEXT), (b"a\rb\n", CSV)])
def test_what_would_be_read_otherwise_is_not_cut(data: bytes, form: int) -> None:
    with pytest.raises(Unsplit) as found:
        split(b"" + data, form, delimiter=b"," if form == CSV else b"\t")
    assert found.value.line == 1


def test_rows_of_any_csv_are_those_that_were_written() -> None:
    chance = random.Random(5)
    for _ in range(200):
        rows = [["".join(chance.choices('ab",\n\r ', k=chance.randrange(5))) for _ in range(3)] for _ in range(9)]
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
        found = split(text.getvalue().encode(), CSV, (1,), chance.randrange(1, 30), delimiter=b",", null=b"")
        for shard in range(2):
            seen = [*csv.reader(io.StringIO(found[shard].decode(), newline=""))]
            assert seen == [row for row in rows if len(row[1]) % 2 == shard]


def hashed(type: str) -> tuple[ReadyPlan, ShardFunction]:
    function = HashFunction(Rule((type,), ("s0", "s1", "s2"), buckets=(0, 1, 2)))
    plan = RoutePlan(Verdict.ROUTED, Equals(function, (Parameter(1),)))
    return ReadyPlan(plan, Fingerprint(b"SELECT $1"), b"SELECT $1"), function


def test_compiled_keys_are_on_the_shards_that_the_rule_says() -> None:
    ready, function = hashed("int8")
    keys = [*range(-50, 50), 2**40]
    data = b"".join(b"%d\tx\n" % key for key in keys)
    found = taken(Splitter(3, 0, TEXT, (0,), by_length, ready), data)
    for shard in range(3):
        wanted = [key for key in keys if function.shards_of((key,)) == 1 << shard]
        assert [int(row.split(b"\t")[0]) for row in found[shard].splitlines()] == wanted


def test_a_line_is_told_by_the_clients_number() -> None:
    data = b'h\na,1\nbb,2\n"c\nc\n",3\ndd,4\n'
    splitter = Splitter(3, 0, CSV, (0,), by_length, delimiter=b",", null=b"", header=True)
    taken(splitter, data)
    assert splitter.rows == 4
    assert [splitter.line_of(0, line) for line in (1, 2, 5, 6)] == [1, 3, 6, 7]
    assert [splitter.line_of(1, line) for line in (1, 2)] == [1, 2]
