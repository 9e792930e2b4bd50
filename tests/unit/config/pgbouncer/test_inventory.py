"""The inventory of PgBouncer's settings: nothing is without a fate, and defaults differ where we say they do."""

from __future__ import annotations

from trunkline.config.global_settings import Settings
from trunkline.config.kinds import Kind
from trunkline.config.pgbouncer import inventory
from trunkline.config.pgbouncer.inventory import DEFAULTS, IGNORED
from trunkline.config.pgbouncer.values import read_value
from trunkline.config.table import defaults, specs

KNOWN = specs(Settings)


def test_no_setting_is_in_two_tables() -> None:
    tables = (inventory.INTEGERS, inventory.SECONDS, inventory.WORDS, inventory.LISTS, inventory.TEXTS)
    assert sum(map(len, tables)) == len(DEFAULTS)


def test_all_settings_of_its_newest_version_are_there() -> None:
    assert len(DEFAULTS) == 101


def test_every_setting_that_is_not_ours_has_a_fate() -> None:
    without = DEFAULTS.keys() - KNOWN.keys()
    assert without == IGNORED.keys()


def test_our_defaults_differ_only_where_their_lines_say_so() -> None:
    def differs(key: str) -> bool:
        field, spec = KNOWN[key]
        kind: Kind = spec.kind
        value = kind.from_text(read_value(key, DEFAULTS[key]), spec.limits)
        return bool((spec.convert(value) if spec.convert else value) != defaults(Settings)[field])

    different = {key for key in DEFAULTS.keys() & KNOWN.keys() - inventory.OURS_HOLD if differs(key)}
    assert different == {key for key, (_, spec) in KNOWN.items() if "PgBouncer: " in spec.doc}
