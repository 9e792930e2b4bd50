"""The table of metrics keeps its own rules."""

from __future__ import annotations

import re

import pytest

from trunkline.metrics.families import FAMILIES, Family, Kind
from trunkline.metrics.readings import Source, Times
from trunkline.proxy.instance import Instance

LABELS = {
    "database",
    "shard",
    "user",
    "state",
    "outcome",
    "reason",
    "sqlstate",
    "target",
    "version",
    "python",
    "host",
    "port",
}


def test_a_name_stands_in_the_table_once() -> None:
    names = [family.name for family in FAMILIES]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_family_has_a_name_a_unit_and_a_sentence(family: Family) -> None:
    assert re.fullmatch(r"trunkline(_[a-z]+)+", family.name)
    assert not family.name.endswith("_total")
    assert not re.search(r"_(time|ms|us|kb|size_bytes)$", family.name)
    assert family.help.endswith(".") and "|" not in family.help
    assert set(family.labels) <= LABELS


@pytest.mark.parametrize(
    ("name", "unit", "shown"),
    [
        ("trunkline_query_duration_seconds", "seconds", "trunkline_query_duration_seconds"),
        ("trunkline_plan_cache_bytes", "bytes", "trunkline_plan_cache_bytes"),
        ("trunkline_queries", "", "trunkline_queries_total"),
    ],
)
def test_the_unit_and_the_name_of_the_series_follow_from_the_name(name: str, unit: str, shown: str) -> None:
    (family,) = (family for family in FAMILIES if family.name == name)
    assert (family.unit, family.shown_name) == (unit, shown)


@pytest.mark.usefixtures("watched")
async def test_every_family_reads_a_number_for_each_of_its_labels(instance: Instance, source: Source) -> None:
    instance.pools.pool("app", "ann")
    for family in FAMILIES:
        for labels, value in family.read(source):
            assert len(labels) == len(family.labels)
            number = value.sum_s if isinstance(value, Times) else value
            assert (family.kind is Kind.HISTOGRAM) is isinstance(value, Times)
            assert float(number) >= 0


def test_every_kind_is_used() -> None:
    assert {family.kind for family in FAMILIES} == set(Kind)
