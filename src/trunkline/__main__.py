"""The program's entry: ``trunkline`` and ``python -m trunkline``.

``serve TARGET`` takes a short cut past the command line library, which would stay in the memory of a process that
runs for months (9 MB of a fresh one's 30 to 40). Everything else, and every option, goes the long way.
"""

from __future__ import annotations

import sys


def main() -> None:
    arguments = sys.argv[1:]
    if is_plain_serve(arguments):
        from trunkline.serve import serve

        sys.exit(serve(*arguments[1:]))
    from trunkline.cli import app

    app()


def is_plain_serve(arguments: list[str]) -> bool:
    """``serve`` with at most a target, and nothing that could be an option."""
    return arguments[:1] == ["serve"] and len(arguments) <= 2 and not any(a.startswith("-") for a in arguments)


if __name__ == "__main__":
    main()
