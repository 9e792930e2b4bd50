"""Metrics of several processes as one instance's."""

from __future__ import annotations

import json
import os

from tests.unit.relay import config
from trunkline.admin.console import serve_console
from trunkline.metrics.exposition import exposition
from trunkline.metrics.families import FAMILIES
from trunkline.metrics.loop_lag import LoopLag
from trunkline.metrics.merging import GREATEST, Gathered, families, summed, told
from trunkline.metrics.readings import Source
from trunkline.proxy.instance import Instance


async def test_counts_are_added_up_and_of_settings_there_is_one() -> None:
    instance = Instance(config, config(default_pool_size=7), serve_console)
    pool = instance.pools.pool("app", "me")
    pool.query_count = 5
    pool.query_times.note(0.001)
    one = json.loads(json.dumps(told(Source(instance, LoopLag(0.0)))))
    _, parts = exposition(Gathered((os.getpid(),), [one, one]), "")
    text = b"".join(parts).decode()
    await instance.close()
    labels = 'database="app",shard="",user="me"'
    assert f"trunkline_queries_total{{{labels}}} 10.0" in text
    assert f"trunkline_pool_size{{{labels}}} 7.0" in text
    assert 'trunkline_query_duration_seconds_bucket{database="app",le="+Inf",shard="",user="me"} 2.0' in text
    assert "process_resident_memory_bytes" in text


def test_the_names_of_what_is_not_added_up_are_names_of_metrics() -> None:
    assert {family.name for family in families(pgbouncer_names=True)} >= GREATEST
    assert families(pgbouncer_names=False) == FAMILIES


def test_processes_are_told_as_one() -> None:
    ours = {"process_cpu_seconds": 1.0, "process_start_time_seconds": 5.0, "process_max_fds": 9.0}
    theirs = {"process_cpu_seconds": 2.0, "process_start_time_seconds": 7.0, "process_max_fds": 9.0}
    assert summed([ours, theirs]) == {
        "process_cpu_seconds": 3.0,
        "process_start_time_seconds": 5.0,
        "process_max_fds": 9.0,
    }
