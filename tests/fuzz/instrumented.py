"""A copy of the package whose compiled modules report coverage and are watched by AddressSanitizer, for the fuzzer.

It is made with clang below ``build/fuzz`` and brought up to date by what has changed. Where there is no clang, the
modules are fuzzed as they are: without their coverage, so as good as blindly, and the run says so.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "fuzz"
COPY = BUILD / "instrumented"
TOP_LEVEL = ("pyproject.toml", "setup.py", "README.md")
SUFFIXES = {".py", ".pyx", ".pxd", ".pyi"}
SANITIZERS = "fuzzer-no-link,address"
PURE = ("trunkline.protocol", "trunkline.routing")  # what most targets need; the whole takes a minute to compile


def is_sanitized() -> bool:
    """Whether this very process runs under a sanitizer (`make sanitize`), which its children would inherit."""
    return "asan" in os.environ.get("LD_PRELOAD", "")


def compiler() -> str | None:
    return shutil.which("clang")


def environment(part: Sequence[str] = PURE) -> dict[str, str]:
    """What a process needs that fuzzes the copy; compiled modules whose name begins like ``part`` are built first."""
    build(part)
    return {
        "PYTHONPATH": os.pathsep.join([str(COPY / "src"), str(ROOT)]),
        "LD_PRELOAD": str(preloaded()),
        "PYTHONMALLOC": "malloc",  # shows the sanitizer each object's end
        "ASAN_OPTIONS": "detect_leaks=0",  # the interpreter's own would drown ours
    }


def preloaded() -> Path:
    """The sanitizer and libFuzzer in one library: in extensions they have to be there before the interpreter is."""
    import atheris

    return Path(atheris.path()) / "asan_with_fuzzer.so"


def build(part: Sequence[str]) -> None:
    with _locked():
        _synchronise()
        command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace", "--parallel", "2"]
        flags = {"CC": compiler() or "clang", "TRUNKLINE_SANITIZE": SANITIZERS, "TRUNKLINE_PART": ",".join(part)}
        done = subprocess.run(command, cwd=COPY, env=os.environ | flags, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the instrumented build failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")


@contextmanager
def _locked() -> Iterator[None]:
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _synchronise() -> None:
    """Copy what differs, with the time of now, so that the build sees it; remove what is no more."""
    wanted = {name: ROOT / name for name in TOP_LEVEL}
    wanted |= {str(path.relative_to(ROOT)): path for path in (ROOT / "src").rglob("*") if path.suffix in SUFFIXES}
    for name, source in wanted.items():
        copy = COPY / name
        if not copy.exists() or copy.read_bytes() != source.read_bytes():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
    for path in (COPY / "src").rglob("*"):
        if path.suffix in SUFFIXES and str(path.relative_to(COPY)) not in wanted:
            path.unlink()
