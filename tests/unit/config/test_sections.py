"""One section: its known keys become fields, and everything else is said."""

from pathlib import Path

from trunkline.config.diagnostics import Report
from trunkline.config.sections import SectionReader
from trunkline.config.settings import DatabaseSettings
from trunkline.config.sharding import TableSettings


def test_keys_become_fields_and_what_is_wrong_is_left_out() -> None:
    report = Report("r")
    values = SectionReader(report, Path()).read(DatabaseSettings, {"host": "h", "port": "x", "reserve_pool": 2}, ())
    assert values == {"hosts": ("h",), "reserve_pool_size": 2}
    assert report.is_refused("port")


def test_a_key_of_another_section_is_sent_there() -> None:
    report = Report("r")
    SectionReader(report, Path()).read(TableSettings, {"listen_port": 1, "shard_buy": "id"}, ("t",))
    assert [d.hint for d in report.diagnostics] == ["it belongs to the top of the file", "did you mean `shard_by`?"]


def test_what_is_no_table_is_said_with_its_whole_name() -> None:
    report = Report("r")
    reader = SectionReader(report, Path())
    assert reader.tables({"tables": 1}, "tables", ("databases", "a")) == []
    assert reader.tables({"tables": {"t": 1, "u": {}}}, "tables", ("databases", "a")) == [("u", {})]
    assert [d.message for d in report.diagnostics] == [
        "must be a table, written [databases.a.tables.NAME]",
        "must be a table, written [databases.a.tables.t]",
    ]
