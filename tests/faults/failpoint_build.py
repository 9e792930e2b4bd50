"""The build with failpoints, made once for each content of the sources, and the proxies that run it.

Only C is compiled anew, without optimising: the failpoints are a macro, so the C sources are those of the real build.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.integration.proxy import Proxy
from tests.integration.waiting import wait_until
from trunkline.failpoints import VARIABLE

ROOT = Path(__file__).parents[2]
BUILT = ROOT / "build" / "failpoints"


def library() -> Path:
    """The directory of the build, to be put first in PYTHONPATH."""
    BUILT.mkdir(parents=True, exist_ok=True)
    stamp = BUILT / "stamp"
    with _locked(BUILT / "lock"):
        content = _content()
        if not stamp.exists() or stamp.read_text() != content:
            stamp.unlink(missing_ok=True)
            _build()
            stamp.write_text(content)
    return BUILT / "lib"


def _content() -> str:
    digest = hashlib.sha256()
    sources = [path for path in (ROOT / "src").rglob("*") if path.suffix in (".py", ".pyx", ".pxd")]
    for path in sorted([*sources, ROOT / "setup.py"]):
        digest.update(f"{path}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _build() -> None:
    shutil.rmtree(BUILT / "lib", ignore_errors=True)
    command = [sys.executable, "setup.py", "-q", "build", "--parallel", "2"]
    places = ["--build-lib", str(BUILT / "lib"), "--build-temp", str(BUILT / "temp")]
    done = subprocess.run(
        [*command, *places], cwd=ROOT, env={**os.environ, VARIABLE: "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Test processes that come at once build once."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class Faulty:
    """A proxy whose failpoints are armed while it runs."""

    def __init__(self, config: Mapping[str, Any], **options: Any) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="trunkline-failpoints-")
        self._file = Path(self._directory.name) / "armed"
        self._file.touch()
        environ = {"PYTHONPATH": str(library()), VARIABLE: f"@{self._file}"}
        self.proxy = Proxy(config, environ=environ, **options)
        self._since = 0
        self._times = 0

    async def __aenter__(self) -> Self:
        await self.proxy.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.proxy.__aexit__(kind, error, trace)
        self._directory.cleanup()

    def arm(self, text: str) -> None:
        """From now on, these points act: ``name=action[:hit],...``; what the log says is counted from here."""
        self._since = len(self.proxy.log)
        self._times += 1
        new = self._file.with_suffix(".new")
        new.write_text(text + "," * self._times)  # never the same text twice: it counts from where it changes
        new.replace(self._file)

    @property
    def log(self) -> str:
        """What was logged since."""
        return self.proxy.log[self._since :]

    async def logs(self, text: str) -> None:
        """Until this has been logged since, or the process is no more."""
        await wait_until(lambda: text in self.log or not self.proxy.is_running, what=f"the log says {text!r}")
