"""Which database and which catalog `trunkline route` goes by, and what it reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.config.target import read_target
from trunkline.errors import ConfigError, ServerUnavailable
from trunkline.execution.offline import Offline, open_database
from trunkline.execution.report import Share
from trunkline.routing.schema.catalog import Catalog, Column, Relation
from trunkline.routing.schema.catalog_file import to_text
from trunkline.routing.text.records import Form

CONFIG = """
auth_type = "trust"

[databases.{name}]
shards = [
  {{ name = "s0", primary = "postgres://app@127.0.0.1:1/a" }},
  {{ name = "s1", primary = "postgres://app@127.0.0.1:1/b" }},
]
tables = {{ orders = {{ shard_by = "id", method = "modulo" }} }}
"""
CATALOG = Catalog({("public", "orders"): Relation("public", "orders", columns=(Column("id", "int8"),))})


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    file = tmp_path / "catalog.json"
    file.write_text(to_text({"shop": CATALOG}))
    return file


def opened(tmp_path: Path, catalog: Path | None, database: str | None = None, *names: str) -> Offline:
    file = tmp_path / "trunkline.toml"
    first, *more = [CONFIG.format(name=name) for name in names or ("shop",)]
    file.write_text(first + "".join(text.replace('auth_type = "trust"', "") for text in more))
    return open_database(read_target(str(file), {}), {}, database, catalog, ["public"])


def test_files_are_planned_by_a_catalog_from_a_file(tmp_path: Path, catalog: Path) -> None:
    offline = opened(tmp_path, catalog)
    sql, dump = tmp_path / "a.sql", tmp_path / "b.csv"
    sql.write_text("SELECT * FROM orders WHERE id = 1;\nSELECT * FROM orders;")
    dump.write_text("query,calls\nSELECT * FROM orders WHERE id = $1,8\n")
    found = [(Path(name).name, one.record.line, one.share) for name, one in offline.judged([str(sql), str(dump)], None)]
    assert found == [("a.sql", 1, Share.ONE), ("a.sql", 2, Share.SEVERAL), ("b.csv", 2, Share.ONE)]
    assert offline.summary.total == 10
    assert offline.problems == ()


def test_a_form_that_is_said_is_not_recognised(tmp_path: Path, catalog: Path) -> None:
    dump = tmp_path / "b.csv"
    dump.write_text("query,calls\nSELECT 1,8\n")
    assert [one.share for _, one in opened(tmp_path, catalog).judged([str(dump)], Form.SQL)] == [Share.UNPARSED]


def test_one_of_several_databases_is_named(tmp_path: Path, catalog: Path) -> None:
    assert opened(tmp_path, catalog, "shop", "shop", "other").summary.total == 0
    with pytest.raises(ConfigError, match="not said") as error:
        opened(tmp_path, catalog, None, "shop", "other")
    assert "shop, other" in str(error.value.hint)
    with pytest.raises(ConfigError, match='"nowhere" is no database'):
        opened(tmp_path, catalog, "nowhere")
    with pytest.raises(ConfigError, match="no catalog of other"):
        opened(tmp_path, catalog, "other", "shop", "other")


def test_files_that_are_not_there_are_named(tmp_path: Path, catalog: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.sql cannot be read"):
        list(opened(tmp_path, catalog).judged([str(tmp_path / "nothing.sql")], None))


def test_shards_that_do_not_answer_are_named_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(ServerUnavailable, match="shop/s0 cannot be read") as error:
        opened(tmp_path, None)
    assert "--catalog" in str(error.value.hint)
