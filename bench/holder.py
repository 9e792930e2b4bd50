"""Holds idle clients open: ``python -m bench.holder PORT COUNT``.

A process of its own, because one process may not own as many sockets as the test wants. Prints ``ready`` when all are
logged in, and lets them go when its standard input ends, so that it never outlives the run.
"""

from __future__ import annotations

import sys

from bench import wire


def main(port: int, count: int) -> None:
    clients = [wire.login(port) for _ in range(count)]
    print("ready", flush=True)
    sys.stdin.read()
    for client in clients:
        client.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
