"""Servers of one transaction have the same settings in force."""

from __future__ import annotations

import pytest

from trunkline.errors import StatementRefused
from trunkline.execution.spread.agreeing import must_agree
from trunkline.protocol.params import Params

HERE = Params.of({b"TimeZone": b"UTC", b"server_version": b"18.1"}, {})


def test_what_servers_differ_in_by_themselves_is_no_setting() -> None:
    must_agree(Params.of({b"TimeZone": b"UTC", b"server_version": b"15.2"}, {}), HERE)
    must_agree(HERE, None)


def test_who_has_another_setting_is_refused() -> None:
    with pytest.raises(StatementRefused):
        must_agree(Params.of({b"TimeZone": b"Asia/Tokyo", b"server_version": b"18.1"}, {}), HERE)
