"""The text that scrapers get, read back by the library's own parsers."""

from __future__ import annotations

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from trunkline.metrics import exposition as module
from trunkline.metrics.exposition import exposition
from trunkline.metrics.families import FAMILIES
from trunkline.metrics.readings import Source
from trunkline.proxy.instance import Instance

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
HOSTILE = 'a"b\\c\nd{e="f"} 1 # EOF'


def text_of(source: Source, accept: str = "") -> str:
    return b"".join(exposition(source, accept)[1]).decode()


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4"),
        ("*/*", "text/plain; version=0.0.4"),
        (OPENMETRICS + ";q=0.8,text/plain;q=0.5", "application/openmetrics-text; version=1.0.0"),
        ("application/openmetrics-text; version=x; escaping=y", "text/plain; version=0.0.4"),
        (";;,=,;q=,version=1.0.0", "text/plain; version=0.0.4"),
    ],
)
async def test_the_format_is_what_the_scraper_accepts(source: Source, accept: str, content_type: str) -> None:
    assert exposition(source, accept)[0].startswith(content_type)


@pytest.mark.usefixtures("watched")
async def test_both_formats_say_the_same(instance: Instance, source: Source) -> None:
    instance.pools.pool("app", "ann").query_count = 0
    texts = (text_of(source), text_of(source, OPENMETRICS))
    plain, open_ = (
        {family.name: family for family in parsed}
        for parsed in (
            text_string_to_metric_families(texts[0]),
            openmetrics.text_string_to_metric_families(texts[1]),
        )
    )
    ours = {family.name: family for family in FAMILIES if family.name in open_}
    assert len(ours) > len(FAMILIES) * 0.7
    for name, family in ours.items():
        assert plain[name].type == open_[name].type == family.kind
        assert plain[name].documentation == open_[name].documentation == family.help
        assert open_[name].unit == family.unit
        assert plain[name].samples == open_[name].samples
    assert {"process_cpu_seconds", "process_resident_memory_bytes", "process_open_fds"} <= set(open_)


async def test_a_family_in_several_parts_is_told_once(
    instance: Instance, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PART", 2)
    for number in range(5):
        instance.pools.pool("app", f"user{number}")
    text = text_of(source, OPENMETRICS)
    families = {family.name: family for family in openmetrics.text_string_to_metric_families(text)}
    users = [sample.labels["user"] for sample in families["trunkline_queries"].samples]
    assert users == [f"user{number}" for number in range(5)]
    assert text.count("# TYPE trunkline_queries counter") == 1
    assert text.endswith("# EOF\n")


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
async def test_no_name_that_a_client_chooses_breaks_the_text(instance: Instance, source: Source, accept: str) -> None:
    instance.pools.pool(HOSTILE, b"\xff\xfe ok".decode(errors="surrogateescape"))
    parse = openmetrics.text_string_to_metric_families if accept else text_string_to_metric_families
    families = {family.name: family for family in parse(text_of(source, accept))}
    (sample,) = families["trunkline_logins"].samples
    assert sample.labels == {"database": HOSTILE, "shard": "", "user": "\\xff\\xfe ok"}
