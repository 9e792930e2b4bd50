"""Runs one target under atheris: ``python -m tests.fuzz.drive TARGET [libFuzzer's arguments]``.

What is imported of the package is instrumented on the way, so nothing of it may have been imported before; so are the
targets, whose models have branches of their own. Compiled modules bring their own instrumentation, if they were built
with it (``instrumented.py``).
"""

from __future__ import annotations

import sys

import atheris


def main(arguments: list[str]) -> None:
    program, name, *options = arguments
    with atheris.instrument_imports(include=["trunkline", "tests.fuzz.targets"]):
        from tests.fuzz.targets import load

        check = load(name)
    atheris.Setup([program, *options], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
