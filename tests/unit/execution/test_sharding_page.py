"""docs/sharding.md is true: its configurations load, and its statements go where it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from trunkline.config.settings import Config
from trunkline.config.sharding import ShardingSettings, TableSettings
from trunkline.config.table import specs
from trunkline.config.toml_file import load
from trunkline.execution.report import Judge, Judged, Share
from trunkline.routing.keys.sharding_builder import build
from trunkline.routing.schema.catalog import Catalog, Column, Function, Relation
from trunkline.routing.text.records import Record

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "sharding.md").read_text()

BLOCKS = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
SHARDS = BLOCKS[0].split("\n\n")[0] + "\n"
SECTIONS = {part.split("\n", 1)[0]: part for part in PAGE.split("\n## ")}
COLUMNS = {
    "customers": "id int8, name text",
    "orders": "customer_id int8, id int8, total numeric",
    "countries": "code text, name text",
    "notes": "id int8, body text",
    "readings": "day date, value float8",
    "residents": "country text, name text",
    "accounts": "tenant int8, name text",
    "places": "tenant int8, shard text",
    "sessions": "token text, data text",
    "devices": "id uuid, name text",
}


def _relation(schema: str, name: str, columns: str) -> Relation:
    return Relation(schema, name, columns=tuple(Column(*one.split()) for one in columns.split(", ")))


RELATIONS = [_relation("public", name, columns) for name, columns in COLUMNS.items()]
RELATIONS.append(_relation("sales", "leads", "region text, id int8"))
TOTAL = Function("public", "order_total", ("int8",), language="plpgsql", body="BEGIN EXECUTE ''; END")
COUNT = Function("pg_catalog", "count", kind="a", volatility="i")
CATALOG = Catalog(
    {(one.schema, one.name): one for one in RELATIONS},
    {("public", "order_total"): (TOTAL,), ("pg_catalog", "count"): (COUNT,)},
)


def loaded(text: str, tmp_path: Path) -> Config:
    file = tmp_path / "trunkline.toml"
    file.write_text('auth_type = "trust"\n' + (text if "[databases.shop]" in text else SHARDS + text))
    return load(file)


def sharding_of(config: Config) -> ShardingSettings:
    found = config.databases["shop"].sharding
    assert found is not None
    return found


@pytest.mark.parametrize("text", BLOCKS)
def test_a_configuration_of_the_page_can_be_used(text: str, tmp_path: Path) -> None:
    assert build(sharding_of(loaded(text, tmp_path)), CATALOG).problems == ()


def test_the_configuration_of_the_readme_can_be_used(tmp_path: Path) -> None:
    found = re.search(r"cat > shop.toml <<'END'\n(.*?)END\n", (ROOT / "README.md").read_text(), re.DOTALL)
    assert found is not None
    (tmp_path / "shop.toml").write_text(found[1])
    assert build(sharding_of(load(tmp_path / "shop.toml")), CATALOG).problems == ()


def test_every_option_of_a_table_is_on_the_page() -> None:
    known = {name for name, _ in specs(TableSettings).values()}
    assert {"shard_by", "method", "lookup"} <= known
    assert {name for name in known if not re.search(rf"\b{name}\b", "\n".join(BLOCKS))} == set()


def statements(section: str) -> list[str]:
    return re.findall(r"^\| `([^`]*)` \|", SECTIONS[section], re.MULTILINE)


def judged(sql: str, tmp_path: Path) -> Judged:
    functions = next(text for text in BLOCKS if "functions" in text).split("\n\n")[0]
    sharding = build(sharding_of(loaded(f"{BLOCKS[0]}\n{functions}", tmp_path)), CATALOG).sharding
    return Judge(CATALOG, sharding).judge(Record(sql.encode(), 1))


@pytest.mark.parametrize("sql", statements("What concerns one shard"))
def test_what_is_said_to_concern_one_shard_does(sql: str, tmp_path: Path) -> None:
    assert judged(sql, tmp_path).share is Share.ONE


@pytest.mark.parametrize("sql", statements("What is refused, and what to do"))
def test_what_is_said_to_be_refused_is(sql: str, tmp_path: Path) -> None:
    assert judged(sql, tmp_path).share in (Share.SEVERAL, Share.REFUSED)


def test_the_explanation_of_the_page_is_what_is_said(tmp_path: Path) -> None:
    found = re.search(r"EXPLAIN \(ROUTE\) (.*?);\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    assert found[2] == "".join(f" {line}\n" for line in judged(found[1], tmp_path).lines)
