"""Which settings come back behind a RESET, and by which query."""

from __future__ import annotations

import pytest

from trunkline.pool.startup_settings import restoring_query, values_to_restore
from trunkline.protocol.params import Params

BASE = Params.of({b"TimeZone": b"Etc/UTC", b"DateStyle": b"ISO, MDY"}, {})
START = Params.of({b"TimeZone": b"Asia/Tokyo", b"DateStyle": b"ISO, MDY"}, {b"work_mem": b"5MB"})


@pytest.mark.parametrize(
    ("resets", "restored"),
    [
        ({b"*"}, {b"TimeZone": b"Asia/Tokyo", b"work_mem": b"5MB"}),
        ({b"timezone"}, {b"TimeZone": b"Asia/Tokyo"}),
        ({b"datestyle"}, {}),
        (set(), {}),
    ],
)
def test_what_the_startup_packet_set_is_restored(resets: set[bytes], restored: dict[bytes, bytes]) -> None:
    assert values_to_restore(BASE, START, resets) == restored


@pytest.mark.parametrize("start", [None, BASE])
def test_a_client_that_asked_for_nothing_has_nothing_restored(start: Params | None) -> None:
    assert values_to_restore(BASE, start, {b"*"}) == {}


def test_a_setting_is_restored_only_if_it_is_still_reset() -> None:
    sql = restoring_query({b"TimeZone": b"Asia/Tokyo", b"app.x": b"1", b"role": b"me"}, b"UTF8").decode()
    by_source, empty, nobody = sql.removeprefix("SELECT CASE WHEN ").split(", CASE WHEN ")
    assert by_source.startswith("COALESCE((SELECT source FROM pg_catalog.pg_settings")
    assert by_source.endswith("THEN pg_catalog.set_config('TimeZone', 'Asia/Tokyo', false) END")
    assert empty.startswith("COALESCE(pg_catalog.current_setting('app.x', true), '')")
    assert nobody.startswith("pg_catalog.current_setting('role')")
