"""Newcomers are refused while there is memory left for who is in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.relay import relay
from trunkline.errors import TrunklineError
from trunkline.proxy.identity import Identity, Peer
from trunkline.proxy.memory import PERIOD_S, MemoryGuard, MemoryShort

GROUPS = {
    "second": ("0::/pods/one", "sys/fs/cgroup/pods/one", ("memory.max", "memory.current", "inactive_file")),
    "second, seen as the root": ("0::/../other", "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")),
    "first": (
        "4:memory:/pods/one",
        "sys/fs/cgroup/memory/pods/one",
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ),
}  # fmt: skip


class Machine:
    """What /proc and /sys say."""

    def __init__(self, root: Path, group: str, place: str, names: tuple[str, str, str]) -> None:
        self.root = root
        self._names = names
        self._place = root / place
        self._place.mkdir(parents=True)
        (root / "proc/self").mkdir(parents=True)
        (root / "proc/self/cgroup").write_text(f"9:name=systemd:/\n{group}\n")

    def write(self, limit: str, used: int, spare: int) -> None:
        (self._place / self._names[0]).write_text(f"{limit}\n")
        (self._place / self._names[1]).write_text(f"{used}\n")
        (self._place / "memory.stat").write_text(f"anon 1\n{self._names[2]} {spare}\n")


@pytest.fixture(params=GROUPS.values(), ids=GROUPS)
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    return Machine(tmp_path, *request.param)


def test_a_cgroup_is_full_at_nine_tenths_of_what_cannot_be_given_back(machine: Machine) -> None:
    machine.write("1000", 899, 0)
    guard = MemoryGuard(machine.root)
    assert not guard.is_short(0, 1.0)
    machine.write("1000", 900, 0)
    assert not guard.is_short(0, 1.0 + PERIOD_S / 2), "it was asked a moment ago"
    assert guard.is_short(0, 1.0 + PERIOD_S)
    machine.write("1000", 999, 100)
    assert not guard.is_short(0, 2.0)
    machine.write("max", 999, 0)
    assert not guard.is_short(0, 3.0)


def test_what_cannot_be_read_limits_nobody(tmp_path: Path, machine: Machine) -> None:
    assert not MemoryGuard(tmp_path / "nowhere").is_short(0, 1.0)
    assert not MemoryGuard(tmp_path / "nowhere").is_short(1, 1.0)
    machine.write("a lot", 1, 1)
    assert not MemoryGuard(machine.root).is_short(0, 1.0)


def test_a_limit_of_its_own_is_of_what_the_process_holds() -> None:
    guard = MemoryGuard()
    assert guard.is_short(1 << 20, 1.0)
    assert not guard.is_short(1 << 40, 1.0), "another limit is looked at at once"


async def test_a_newcomer_is_refused_before_he_is_asked_who_he_is_and_the_console_is_not() -> None:
    async with relay(memory_limit=1 << 20) as made:
        identity = Identity(made.clients, Peer("", ""))
        with pytest.raises(MemoryShort) as refused:
            made.clients.admit(identity, admin=False)
        assert isinstance(refused.value, TrunklineError) and refused.value.sqlstate == "53200"
        made.clients.admit(identity, admin=True)
