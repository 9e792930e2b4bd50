"""The grammar of the table itself."""

from dataclasses import dataclass

from trunkline.config.kinds import INT, NAMES, SECONDS, SECRET
from trunkline.config.table import defaults, setting, specs


@dataclass(frozen=True, slots=True)
class Example:
    name: str
    hosts: tuple[str, ...] = setting((), NAMES, "Hosts.", key="host")
    wait: float = setting(1.0, SECONDS, "Wait.", reloadable=False)
    size: int | None = setting(None, INT, "Size.", low=1, high=9)
    word: str | None = setting(None, SECRET, "Word.")


def test_only_fields_declared_as_settings_are_in_the_table() -> None:
    assert list(specs(Example)) == ["host", "wait", "size", "word"]


def test_a_setting_can_be_written_under_another_name() -> None:
    assert specs(Example)["host"][0] == "hosts"


def test_the_unit_follows_from_the_kind() -> None:
    assert specs(Example)["wait"][1].unit == "s"
    assert specs(Example)["size"][1].unit == ""


def test_bounds_and_reloadability_are_kept() -> None:
    assert (specs(Example)["size"][1].limits.low, specs(Example)["size"][1].limits.high) == (1, 9)
    assert not specs(Example)["wait"][1].reloadable


def test_defaults_are_by_field_name() -> None:
    assert defaults(Example) == {"hosts": (), "wait": 1.0, "size": None, "word": None}


def test_nothing_inherited_is_shown_as_empty() -> None:
    assert specs(Example)["size"][1].show(None) == ""


def test_a_secret_is_masked_when_shown_and_absent_from_repr() -> None:
    assert specs(Example)["word"][1].show("hush") == "***"
    assert "hush" not in repr(Example("x", word="hush"))
