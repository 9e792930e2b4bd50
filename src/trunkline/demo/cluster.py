"""Primaries with their streaming replicas, each below one directory: what the demo and the tests put Trunkline before.

Contract: entering starts everything and returns when every replica streams; leaving ends everything, and removes the
directory unless it is to be kept. A kept directory is used again as it is, on ports of the new start.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from trunkline.demo.ensemble import Ensemble
from trunkline.demo.postgres_binaries import Binaries
from trunkline.demo.postgres_server import PostgresServer
from trunkline.demo.privileges import Launcher, choose_launcher
from trunkline.demo.process import holds_within
from trunkline.errors import ServerUnavailable

STREAMING_TIMEOUT_S = 20.0


class Workspace:
    """The directory all data lives in: a temporary one that is removed, or the operator's, which is kept."""

    def __init__(self, keep: Path | None = None) -> None:
        self.is_kept = keep is not None
        if keep is None:
            self.path = Path(tempfile.mkdtemp(prefix="trunkline-"))
            self.path.chmod(0o711)  # ours: the user that PostgreSQL runs as has to get through, not to look around
        else:
            self.path = keep.resolve()
            if not self.path.exists():
                self.path.mkdir(mode=0o711, parents=True)

    def subdirectory(self, name: str) -> Path:
        """A directory in it, which the user that PostgreSQL runs as can get through as well."""
        path = self.path / name
        if not path.exists():
            path.mkdir()
            path.chmod(0o711)
        return path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.is_kept:
            shutil.rmtree(self.path, ignore_errors=True)


class Cluster(Ensemble):
    """``primary`` and ``replicas``, running while the context is open."""

    def __init__(
        self,
        directory: Path,
        binaries: Binaries,
        *,
        replicas: int = 1,
        user: str = "postgres",
        password: str = "postgres",
        settings: Mapping[str, str] | None = None,
        launcher: Launcher | None = None,
        keep: bool = False,
    ) -> None:
        self.directory = directory
        self.keep = keep
        self._replica_count = replicas
        self.launcher = launcher or choose_launcher(binaries, directory)
        self.primary = PostgresServer(
            directory / "primary", self.launcher, user=user, password=password, settings=settings
        )
        self.replicas: list[PostgresServer] = []

    async def start(self) -> None:
        await self.primary.__aenter__()
        for number in range(1, self._replica_count + 1):
            await self._start_replica(self.directory / f"replica{number}")

    async def _start_replica(self, directory: Path) -> None:
        replica = self.primary.replica_in(directory)
        if not replica.is_created:
            replica = await self.primary.basebackup_replica(directory)
        self.replicas.append(replica)
        await replica.start()
        await self._until_streaming(replica)

    async def _until_streaming(self, replica: PostgresServer) -> None:
        """Wait for the replica's own word: it writes this line when it has begun to stream."""
        if not await holds_within(lambda: "started streaming WAL" in replica.log_since_start, STREAMING_TIMEOUT_S):
            raise ServerUnavailable("the replica does not stream from its primary", detail=replica.log[-2000:])

    async def catch_up(self) -> None:
        """Wait until every replica shows what has been committed by now."""
        position = await self.primary.sql("SELECT pg_current_wal_flush_lsn()")
        for replica in self.replicas:
            deadline = time.monotonic() + STREAMING_TIMEOUT_S
            while await replica.sql(f"SELECT pg_last_wal_replay_lsn() >= '{position}'") != "t":
                if time.monotonic() > deadline:
                    raise ServerUnavailable("the replica stays behind its primary", detail=replica.log[-2000:])

    async def stop(self) -> None:
        """Replicas first, so that none of them complains of a lost primary; data that is kept is shut down cleanly."""
        for server in (*self.replicas, self.primary):
            await server.stop("fast" if self.keep else "immediate")
        if not self.keep:
            for server in (*self.replicas, self.primary):
                server.remove()


class Clusters(Ensemble):
    """Several clusters that start and end at the same time."""

    def __init__(self, clusters: Sequence[Cluster]) -> None:
        self.clusters = tuple(clusters)

    async def start(self) -> None:
        await together(cluster.__aenter__() for cluster in self.clusters)

    async def stop(self) -> None:
        await together(cluster.stop() for cluster in self.clusters)


async def together(jobs: Iterable[Coroutine[Any, Any, object]]) -> None:
    """Do all of them at once; each comes to its own end, even if another fails, and then the first error is raised."""
    for result in await asyncio.gather(*jobs, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
