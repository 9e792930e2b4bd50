"""What a new session finds, judged once for all clients with the same startup settings."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trunkline.pool.profile import CAPACITY, Profile, Profiles, split_name
from trunkline.protocol.messages import parameter_status
from trunkline.protocol.params import Params

BASE = Params.of({b"TimeZone": b"UTC", b"application_name": b""}, {})
CET = ((b"TimeZone", b"CET"),)
IN_CET = BASE.requested(CET)


def judged() -> Profiles:
    profiles = Profiles()
    profiles.rebase(BASE)
    return profiles


def test_a_profile_greets_with_every_reported_parameter() -> None:
    assert Profile(BASE).greeting == parameter_status(b"TimeZone", b"UTC") + parameter_status(b"application_name", b"")


def test_what_nobody_asked_for_is_not_known() -> None:
    assert judged().find(CET) is None


def test_the_second_client_with_the_same_settings_need_not_wait() -> None:
    profiles = judged()
    assert profiles.learn(CET, IN_CET).params is IN_CET
    found = profiles.find(CET)
    assert found is not None
    assert found.params is IN_CET


def test_a_plain_name_needs_no_judge_of_its_own() -> None:
    profiles = judged()
    named = (*CET, (b"application_name", b"psql"))
    profiles.learn(named, IN_CET.with_reported(b"application_name", b"psql"))
    other = profiles.find((*CET, (b"application_name", b"other")))
    unnamed = profiles.find(CET)
    assert other is not None
    assert unnamed is not None
    assert other.params.reported[b"application_name"] == b"other"
    assert unnamed.params.reported[b"application_name"] == b""


def test_a_server_with_other_parameters_voids_them() -> None:
    profiles = judged()
    profiles.learn(CET, IN_CET)
    profiles.rebase(BASE)
    assert profiles.find(CET) is not None
    profiles.rebase(BASE.with_reported(b"TimeZone", b"GMT"))
    assert profiles.find(CET) is None


def test_the_least_recently_used_profile_goes() -> None:
    profiles = judged()
    profiles.learn(CET, IN_CET)
    for number in range(CAPACITY - 1):
        profiles.learn(((b"x", b"%d" % number),), BASE)
    assert profiles.find(CET) is not None
    profiles.learn(((b"x", b"more"),), BASE)
    assert profiles.find(CET) is not None
    assert profiles.find(((b"x", b"0"),)) is None


@given(st.lists(st.tuples(st.sampled_from([b"a", b"APPLICATION_NAME"]), st.binary(max_size=70)), max_size=4))
def test_only_a_plain_name_is_taken_out(settings: list[tuple[bytes, bytes]]) -> None:
    name, rest = split_name(settings)
    assert name is None or (len(name) < 64 and name.isascii() and name.decode().isprintable())
    assert set(rest) <= set(settings)
    assert name is not None or list(rest) == settings


def test_a_name_that_postgresql_would_change_is_judged() -> None:
    for name in (b"x" * 64, b"tab\there", "ünï".encode()):
        assert split_name([(b"application_name", name)]) == (None, ((b"application_name", name),))
