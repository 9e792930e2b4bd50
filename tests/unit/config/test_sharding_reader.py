"""Shards from a file: what they become, and what is said, with its line, where they cannot be right."""

from pathlib import Path

import pytest

from trunkline.config.diagnostics import ConfigErrors
from trunkline.config.diff import diff
from trunkline.config.settings import Config
from trunkline.config.toml_file import load

# Lines 1 to 8; what a test adds begins on line 9.
HEAD = """auth_type = "trust"
[[databases.shop.shards]]
name = "s0"
primary = "postgres://10.0.1.1/shop"
[[databases.shop.shards]]
name = "s1"
primary = "postgres://ann:hush@10.0.2.1:6000/other"

"""


@pytest.fixture
def read(tmp_path: Path):
    def read(text: str) -> Config:
        path = tmp_path / "trunkline.toml"
        path.write_text(text)
        return load(path)

    return read


def said(read, text: str) -> list[tuple[int, str]]:
    with pytest.raises(ConfigErrors) as error:
        read(text)
    return [(d.line, d.message) for d in error.value.diagnostics]


def test_each_shard_is_a_database_of_its_own_and_the_whole_is_at_the_home_shard(read) -> None:
    config = read(HEAD + "[databases.shop]\nhome = 's1'\npool_size = 7\nuser = 'app'\npassword = 'x'\n")
    first, second = config.shards_of("shop")
    assert (first.name, first.hosts, first.port, first.dbname, first.user, first.password) == (
        "shop/s0",
        ("10.0.1.1",),
        5432,
        "shop",
        "app",
        "x",
    )
    assert (second.hosts, second.port, second.dbname, second.user, second.password) == (
        ("10.0.2.1",),
        6000,
        "other",
        "ann",
        "hush",
    )
    shop = config.database("shop")
    assert shop is not None
    assert (shop.name, shop.addresses, shop.home) == ("shop", second.addresses, "s1")
    assert shop.sharding is not None
    assert shop.sharding.home == "s1"
    assert config.database("shop/s0") == config.shard("shop/s0") == first
    assert config.pool_settings("shop/s0", "ann").pool_size == 7
    assert config.shard("shop") is config.shard("shop/s2") is config.database("shop/s2") is None
    assert config.shards_of("shop/s0") == config.shards_of("none") == ()


def test_what_a_url_leaves_out_is_the_databases_own(read) -> None:
    config = read(
        "auth_type = 'trust'\n[databases.shop]\ndbname = 'd'\n"
        "[[databases.shop.shards]]\nname = 'a'\nprimary = 'postgres://h,i:7'\nreplicas = ['postgres://r/d']\n"
    )
    (shard,) = config.shards_of("shop")
    assert (shard.dbname, shard.user, shard.hosts, shard.ports) == ("d", None, ("h", "i"), (5432, 7))
    assert [str(address) for address in shard.replicas] == ["r:5432"]


@pytest.mark.parametrize(
    ("buckets", "first", "second", "runs"),
    [
        (1024, "", "", [0] * 512 + [1] * 512),
        (3, "", "", [0, 0, 1]),
        (4, "buckets = ['1-3']", "buckets = ['0']", [1, 0, 0, 0]),
        (4, "buckets = ['0', '2-3', '1']", "", [0] * 4),
    ],
)
def test_buckets_are_spread_evenly_or_as_they_are_listed(
    read, buckets: int, first: str, second: str, runs: list[int]
) -> None:
    text = HEAD.replace("[[", f"{first}\n[[", 2).replace(f"{first}\n[[", "[[", 1) + f"{second}\n"
    config = read(text + f"[databases.shop]\nbuckets = {buckets}\n")
    sharding = config.databases["shop"].sharding
    assert sharding is not None
    assert list(sharding.bucket_map) == runs


def test_a_database_for_each_tenant_is_wholly_on_one_shard(read) -> None:
    config = read(
        "auth_type = 'trust'\n[databases.'tenant_*']\nshard_by = 'database'\n[databases.'tenant_*'.names]\n"
        "tenant_big = 'b'\n"
        "[[databases.'tenant_*'.shards]]\nname = 'a'\nprimary = 'postgres://ha'\n"
        "[[databases.'tenant_*'.shards]]\nname = 'b'\nprimary = 'postgres://hb'\n"
    )
    big = config.database("tenant_big")
    assert big is not None
    assert (big.hosts, big.dbname) == (("hb",), None)
    places = [config.database(f"tenant_{number}") for number in range(100)]
    hosts = [place.hosts[0] for place in places if place is not None]
    assert 30 < hosts.count("ha") < 70
    assert len(hosts) == 100
    # Taken from md5sum: what a name's bucket is must hold for ever, or tenants would be lost.
    assert hosts[:8] == ["hb", "hb", "ha", "ha", "hb", "hb", "hb", "hb"]
    assert config.database("other") is None
    assert config.shards_of("tenant_*") == ()


def test_a_reload_says_what_moved(read) -> None:
    tables = "[databases.shop.tables]\ncustomers = { shard_by = 'id' }\n"
    old = read(HEAD + tables)
    new = read(HEAD.replace("10.0.1.1", "10.0.1.9") + "buckets = ['0-1023']\n" + tables + "c = { reference = true }\n")
    assert [str(change) for change in diff(old, new)] == [
        "database shop host: 10.0.1.1 -> 10.0.1.9",
        "database shop shards.s0: name = s0, primary = 10.0.1.1:5432/shop -> name = s0, primary = 10.0.1.9:5432/shop",
        "database shop shards.s1: name = s1, primary = 10.0.2.1:6000/other -> "
        "name = s1, primary = 10.0.2.1:6000/other, buckets = 0-1023",
        "database shop tables.c: added",
    ]
    assert "hush" not in str(diff(old, new))
    secret = read(HEAD.replace("hush", "loud") + tables)
    assert [str(change) for change in diff(old, secret)] == ["database shop shards.s1: changed"]


WRONG = [
    ("[databases.shop]\nhome = 's2'\n", (10, "there is no shard `s2`")),
    ("buckets = ['0-400']\n", (2, "buckets 401-1023 are on no shard")),
    ("buckets = ['0-1023', '7']\n", (9, "bucket 7 is on shard `s1` already")),
    ("buckets = ['0-1024']\n", (9, "there is no bucket 1024")),
    ("buckets = [\n'0-1022',\n'1023-x']\n", (11, "`buckets`: not a bucket or a range of buckets")),
    ("buckets = ['9-0']\n", (9, "`buckets`: the range 9-0 ends before it begins")),
    ("buckets = 3\n", (9, '`buckets`: must be an array as in ["0-511", "600"], not a number')),
    ("[databases.shop]\nbuckets = 0\n", (10, "`buckets`: must be from 1 to 65536")),
    ("[databases.shop]\nbuckets = 1\n", (10, "1 buckets are too few for 2 shards")),
    ("[databases.shop]\nprimary = 'postgres://h'\n", (10, "`primary` cannot stand beside `shards`")),
    ("[databases.shop]\nhost = 'h'\n", (10, "`host` cannot stand beside `shards`")),
    ("[databases.shop]\nreplicas = []\n", (10, "`replicas` cannot stand beside `shards`")),
    ("[[databases.shop.shards]]\nname = 's0'\nprimary = 'postgres://h'\n", (10, "two shards are named `s0`")),
    ("[[databases.shop.shards]]\nname = 's2'\n", (9, "shard `s2` has no primary")),
    ("[[databases.shop.shards]]\nprimary = 'postgres://h'\n", (9, "a shard without a name")),
    (
        "[[databases.shop.shards]]\nname = 'a/b'\nprimary = 'postgres://h'\n",
        (10, "`a/b` cannot be the name of a shard"),
    ),
    ("[[databases.shop.shards]]\nname = 's2'\nprimary = 'h'\n", (11, "`primary`: not a PostgreSQL URL")),
    (
        "[[databases.shop.shards]]\nname = 's2'\nprimary = 'postgres://h/d?sslmode=require'\n",
        (11, "`primary`: `sslmode` cannot stand in this URL"),
    ),
    ("replica = []\n", (9, "unknown setting `replica`")),
    ("[databases.shop.schemas]\nacme = 's9'\n", (10, "there is no shard `s9`")),
    ("[databases.shop.schemas]\nacme = 1\n", (10, "must be the name of a shard, in quotes")),
    ("[databases.shop]\nschemas = 1\n", (10, "`schemas` must be a table")),
    ("[databases.shop]\nshard_by = 'database'\n", (10, "one database cannot be spread by database names")),
    ("[databases.shop]\nshard_by = 'id'\n", (10, "`shard_by`: unknown value `id`")),
    ("[databases.shop.names]\na = 's0'\n", (9, "`names` is for databases with `shard_by`")),
    ("[databases.'shop/s0']\nhost = 'h'\n", (9, "`shop/s0` is the name of a shard of `shop`")),
    ("[databases.app]\nhost = 'h'\nhome = 's0'\n", (11, "`home` needs shards")),
    ("[databases.app]\nhost = 'h'\n[databases.app.tables]\na = { reference = true }\n", (11, "`tables` needs shards")),
    ("[databases.app]\nshards = []\n", (10, "0 shards; there can be 1 to 64")),
    ("[databases.app]\nshards = {}\n", (10, "`shards` must be tables")),
    (
        "[[databases.'a*'.shards]]\nname = 's'\nprimary = 'postgres://h'\n",
        (9, "a pattern with shards needs `shard_by`"),
    ),
]


@pytest.mark.parametrize(("text", "expected"), WRONG, ids=[message for _, (_, message) in WRONG])
def test_what_cannot_be_is_said_with_its_line(read, text: str, expected: tuple[int, str]) -> None:
    assert said(read, HEAD + text) == [expected]


def test_more_shards_than_a_mask_has_bits_are_refused(read) -> None:
    shards = "".join(f"[[databases.a.shards]]\nname='s{n}'\nprimary='postgres://h{n}'\n" for n in range(65))
    assert said(read, "auth_type = 'trust'\n" + shards) == [(2, "65 shards; there can be 1 to 64")]


def test_a_tenants_database_has_no_tables_of_its_own(read) -> None:
    text = "auth_type = 'trust'\n[databases.'t*']\nshard_by = 'database'\nhome = 'a'\n"
    text += "[[databases.'t*'.shards]]\nname = 'a'\nprimary = 'postgres://ha'\n"
    assert said(read, text) == [(4, "`home` has no meaning with `shard_by`")]


def test_auth_type_any_needs_a_user_for_every_shard(read) -> None:
    assert said(read, HEAD.replace("trust", "any")) == [(2, "auth_type any needs a user for database `shop`")]
