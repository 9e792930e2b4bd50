"""What settings are chosen from: PgBouncer's words."""

from trunkline.config.choices import MODES, PoolMode


def test_the_pool_modes_are_those_of_pgbouncer() -> None:
    assert [str(mode) for mode in PoolMode] == ["session", "transaction", "statement"]


def test_a_mode_is_read_as_one() -> None:
    assert MODES["convert"](MODES["choices"][0]) is PoolMode.SESSION
