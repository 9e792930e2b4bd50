"""PostgreSQL's own word on strings: where they end and what they say, under both settings of backslashes."""

from __future__ import annotations

import random

import psycopg
import pytest

from tests.integration.postgres import Postgres
from trunkline.routing.keys.literals import text_of
from trunkline.routing.keys.sharding import KeyUnknown
from trunkline.routing.text.fingerprint import Fingerprint

PIECES = ("a", "''", "\\", "\\\\", "\\'", "\\n", "\\x41", "\\101", "\\u0041", "\\0041", '"', "--", "$$", " ", "\n")
PIECES += ("'\n'", "' --x'y\n '", "', '", "', E'", "', $$", "é", "/*")
PREFIXES = ("", "", "", "E", "N", "U&")
TEXTS = 1500


def written(seed: int) -> list[str]:
    choose = random.Random(seed)
    return [
        f"SELECT {choose.choice(PREFIXES)}'{''.join(choose.choices(PIECES, k=choose.randint(0, 6)))}'"
        for _ in range(TEXTS)
    ]


def read(sql: bytes, standard_strings: bool) -> list[str | None]:
    """What we read; None for what we do not know."""
    found: list[str | None] = []
    for start, end, form in Fingerprint(sql, standard_strings).literals:
        try:
            found.append(text_of(sql[start:end], form).decode())
        except KeyUnknown:
            found.append(None)
    return found


@pytest.mark.every_postgres
@pytest.mark.parametrize("standard_strings", [True, False])
async def test_strings_end_and_say_what_the_server_has_them_say(postgres: Postgres, standard_strings: bool) -> None:
    connection = await postgres.connect()
    async with connection:
        setting = "on" if standard_strings else "off"
        await connection.execute(f"SET standard_conforming_strings = {setting}; SET escape_string_warning = off")
        await connection.execute("SET backslash_quote = on")
        accepted = 0
        for sql in written(7):
            try:
                row = await (await connection.execute(sql.encode())).fetchone()
            except psycopg.Error:
                continue
            accepted += 1
            ours = read(sql.encode(), standard_strings)
            assert row is not None
            assert len(ours) == len(row), (sql, ours, row)
            assert all(said in (None, answer) for said, answer in zip(ours, row, strict=True)), (sql, ours, row)
        assert accepted > TEXTS // 4
