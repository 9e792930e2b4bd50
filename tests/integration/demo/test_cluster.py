"""The cluster: a primary and a replica that are ready together and gone together."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest

from trunkline.demo.cluster import Cluster, Clusters, Workspace, together
from trunkline.demo.postgres_binaries import find_binaries
from trunkline.errors import ServerUnavailable


def postgres_processes(directory: Path) -> list[int]:
    """Pids of the servers whose data lies below the directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if os.fsencode(directory) in command and b"postgres\0" in command:
            found.append(int(entry.name))
    return found


async def test_the_replica_has_what_was_committed_on_the_primary() -> None:
    with Workspace() as workspace:
        async with Cluster(workspace.path, find_binaries(environ={}), password="it's\\secret") as cluster:
            await cluster.primary.sql("CREATE TABLE t AS SELECT generate_series(1, 1000) AS n")
            await cluster.catch_up()
            assert await cluster.replicas[0].sql("SELECT count(*), pg_is_in_recovery() FROM t") == "1000|t"
            assert await cluster.primary.sql("SELECT state FROM pg_stat_replication") == "streaming"


async def test_nothing_is_left_behind() -> None:
    with Workspace() as workspace:
        async with Cluster(workspace.path, find_binaries(environ={})):
            assert len(postgres_processes(workspace.path)) == 2
        assert postgres_processes(workspace.path) == []
    assert not workspace.path.exists()


async def test_a_kept_directory_is_used_again(tmp_path: Path) -> None:
    with Workspace(tmp_path / "kept") as workspace:
        binaries = find_binaries(environ={})
        async with Cluster(workspace.path, binaries, keep=True) as cluster:
            await cluster.primary.sql("CREATE TABLE t AS SELECT 42 AS n")
        async with Cluster(workspace.path, binaries, keep=True) as cluster:
            await cluster.catch_up()
            assert await cluster.replicas[0].sql("SELECT n FROM t") == "42"
    assert (tmp_path / "kept" / "primary" / "data").is_dir()


async def test_several_clusters_start_and_end_together() -> None:
    with Workspace() as workspace:
        binaries = find_binaries(environ={})
        clusters = [Cluster(workspace.subdirectory(name), binaries) for name in ("s0", "s1")]
        async with Clusters(clusters):
            assert len(postgres_processes(workspace.path)) == 4
            assert len({cluster.primary.port for cluster in clusters}) == 2
        assert postgres_processes(workspace.path) == []


async def test_a_cluster_that_cannot_start_ends_the_others(tmp_path: Path) -> None:
    with Workspace() as workspace:
        binaries = find_binaries(environ={})
        good = Cluster(workspace.subdirectory("s0"), binaries)
        bad = Cluster(workspace.subdirectory("s1"), binaries, settings={"shared_buffers": "nonsense"})
        with pytest.raises(ServerUnavailable, match="did not start"):
            async with Clusters([good, bad]):
                raise AssertionError("it must not start")
        assert postgres_processes(workspace.path) == []


async def test_what_is_done_together_comes_to_its_end_when_one_fails() -> None:
    done = []

    async def fail() -> None:
        raise ServerUnavailable("it failed")

    async def finish() -> None:
        await asyncio.sleep(0)
        done.append(True)

    with pytest.raises(ServerUnavailable, match="it failed"):
        await together([fail(), finish()])
    assert done == [True]


async def test_a_directory_of_the_operator_keeps_its_mode_and_owner(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)
    before = tmp_path.stat()
    with Workspace(tmp_path) as workspace:
        async with Cluster(workspace.path, find_binaries(environ={}), replicas=0) as cluster:
            assert await cluster.primary.sql("SELECT 1") == "1"
    after = tmp_path.stat()
    assert (stat.S_IMODE(after.st_mode), after.st_uid) == (stat.S_IMODE(before.st_mode), before.st_uid)
