"""Not a target but a test of the fuzzer: what is under test is here, and has a bug that chance does not find."""

from __future__ import annotations


def check(data: bytes) -> None:
    if data[:1] == b"b" and data[1:2] == b"u":
        parse(data[2:])


def parse(data: bytes) -> None:
    if data[:1] == b"g" and data[1:2] == b"!":
        raise AssertionError("found")
