"""Runs of DataRow messages: how many rows there are in one."""

from __future__ import annotations


def cut(rows: bytes, limit: int) -> tuple[int, int]:
    """How many bytes the first `limit` of these DataRow messages have, and how many they are."""
    at = count = 0
    while at < len(rows) and count < limit:
        at += 1 + int.from_bytes(rows[at + 1 : at + 5], "big")
        count += 1
    return at, count
