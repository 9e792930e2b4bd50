"""The tree of errors as clients and operators see it: codes never change meaning, SQLSTATEs say the truth."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from trunkline import errors
from trunkline.errors import TrunklineError

# What has been published stays: a code that is here with another name or SQLSTATE breaks somebody's alert or driver.
PUBLISHED = {
    "TL0000": ("TrunklineError", "XX000"),
    "TL0001": ("ConfigError", "F0000"),
    "TL0002": ("InternalError", "XX000"),
    "TL0100": ("ProtocolViolation", "08P01"),
    "TL0101": ("UnsupportedProtocol", "0A000"),
    "TL0102": ("MessageTooLarge", "54000"),
    "TL0103": ("ServerProtocolViolation", "08006"),
    "TL0200": ("AuthenticationFailed", "28P01"),
    "TL0201": ("NotAuthorized", "28000"),
    "TL0202": ("UnknownDatabase", "3D000"),
    "TL0203": ("LoginTimeout", "08P01"),
    "TL0204": ("InvalidStartupOption", "42601"),
    "TL0205": ("InvalidStartupValue", "22023"),
    "TL0206": ("AuthUnavailable", "F0000"),
    "TL0207": ("DatabaseDisabled", "55000"),
    "TL0300": ("TooManyConnections", "53300"),
    "TL0301": ("PoolTimeout", "53300"),
    "TL0302": ("QueryTimeout", "57014"),
    "TL0303": ("IdleTransactionTimeout", "25P03"),
    "TL0304": ("TransactionTimeout", "25P04"),
    "TL0305": ("IdleClientTimeout", "57P05"),
    "TL0306": ("QueryCanceled", "57014"),
    "TL0307": ("TransactionBlockRefused", "0A000"),
    "TL0400": ("ServerUnavailable", "08001"),
    "TL0401": ("ServerLost", "08006"),
    "TL0402": ("ServerRefused", "XX000"),
    "TL0403": ("CommitOutcomeUnknown", "08007"),
    "TL0404": ("ListenerLost", "08006"),
    "TL0405": ("SlowListener", "53200"),
    "TL0500": ("ShuttingDown", "57P01"),
    "TL0501": ("DatabasePaused", "57P03"),
    "TL0600": ("AdminNotAllowed", "42501"),
    "TL0601": ("AdminSyntaxError", "42601"),
}


def tree(root: type[TrunklineError] = TrunklineError) -> Iterator[type[TrunklineError]]:
    yield root
    for child in root.__subclasses__():
        yield from tree(child)


EVERY = [kind for kind in tree() if kind.__module__ == errors.__name__]


def test_every_code_is_one_error() -> None:
    codes = [kind.code for kind in EVERY]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("code", PUBLISHED)
def test_a_published_code_keeps_its_meaning(code: str) -> None:
    assert {kind.code: (kind.__name__, kind.sqlstate) for kind in EVERY}.get(code) == PUBLISHED[code]


@pytest.mark.parametrize("kind", EVERY)
def test_codes_and_sqlstates_have_their_form(kind: type[TrunklineError]) -> None:
    assert re.fullmatch(r"TL\d{4}", kind.code)
    assert re.fullmatch(r"[0-9A-Z]{5}", kind.sqlstate)
    assert kind.sqlstate[:2] not in ("00", "01", "02"), "success and warnings are no errors"
    assert kind.severity in ("ERROR", "FATAL")


@pytest.mark.parametrize("kind", [kind for kind in EVERY if kind.sqlstate.startswith("08")])
def test_a_connection_exception_ends_the_connection(kind: type[TrunklineError]) -> None:
    """Class 08 makes drivers throw the connection away, so it is said only where that is what happens."""
    assert kind.severity == "FATAL"


def test_a_hint_of_ones_own_is_for_that_error_only() -> None:
    assert errors.PoolTimeout("no", hint="mine").hint == "mine"
    assert errors.PoolTimeout("no").hint == errors.PoolTimeout.hint


def test_a_servers_refusal_keeps_the_servers_words() -> None:
    refusal = errors.ServerRefused("3D000", "no such database", detail="d", hint="h")
    assert (refusal.sqlstate, refusal.message, refusal.detail, refusal.hint) == ("3D000", "no such database", "d", "h")
    assert errors.ServerRefused.sqlstate == "XX000"


def test_an_error_reads_as_its_message() -> None:
    assert str(errors.InternalError("words")) == "words"
