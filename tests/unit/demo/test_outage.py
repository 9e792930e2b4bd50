"""What is made of the records of clients: the truth of what they were told, and how long it took."""

from __future__ import annotations

from trunkline.demo.load import Attempt, Kind
from trunkline.demo.outage import Moments, Outage

MOMENTS = Moments(killing=10.0, killed=10.1, promoting=10.9, promoted=11.0)


def write(nonce: str, began: float, ended: float, *codes: str) -> Attempt:
    return Attempt(Kind.WRITE, nonce, began, ended, list(codes))


def look(began: float, ended: float, *codes: str, stale: bool = False) -> Attempt:
    return Attempt(Kind.LOOK, "", began, ended, list(codes), stale)


def read(began: float, ended: float, *codes: str) -> Attempt:
    return Attempt(Kind.READ, "", began, ended, list(codes))


def wrong(*attempts: Attempt, found: str = "") -> list[str]:
    """What must not be, of these."""
    return [what for what, those in Outage(attempts, MOMENTS, found.split()).faults.items() if those]


def test_what_was_acknowledged_has_to_be_there() -> None:
    assert wrong(write("a", 1, 2), write("b", 1, 3), found="a b") == []
    assert wrong(write("a", 1, 2), write("b", 1, 3), found="b") == ["acknowledged and lost"]


def test_what_has_failed_must_not_be_there_unless_nobody_knows() -> None:
    assert wrong(write("a", 9.9, 10.05, "08006")) == []
    assert wrong(write("a", 9.9, 10.05, "08006"), found="a") == ["failed and there"]
    assert wrong(write("a", 9.9, 10.05, "08007"), found="a") == []


def test_only_what_was_under_way_may_fail_and_only_once() -> None:
    for one in (write("a", 10.2, 10.3, "57P03"), look(10.2, 10.3, "57P03")):
        assert wrong(one) == ["failed with nothing under way"]
    assert wrong(look(9.9, 10.05, "08006")) == []
    assert wrong(write("a", 9.9, 10.3, "08006", "25P02")) == ["told more than one error"]


def test_stale_and_failed_reads_are_found() -> None:
    assert wrong(look(1, 2), look(2, 3, stale=True)) == ["missed its own write"]
    assert wrong(read(10.2, 10.3), read(10.3, 10.4, "08006")) == ["failed reads"]


def test_the_figures_are_those_of_the_failover() -> None:
    attempts = [
        write("a", 9.0, 9.5),
        write("b", 9.6, 10.05, "08007"),
        write("c", 10.3, 11.25),
        write("d", 10.4, 11.75),
        read(10.4, 10.5),
        read(11.4, 11.5),
    ]
    outage = Outage(attempts, MOMENTS, ["a", "b", "c", "d"])
    assert (outage.resumed_s, outage.silence_s) == (0.25, 1.75)
    assert [one.nonce for one in outage.held] == ["c", "d"]
    assert len(outage.reads_meanwhile) == 1
    assert outage.lines() == [
        "commits acknowledged: 3, found on the new primary: 3",
        "without a commit for 1.75 s, of these 0.25 s after the promotion",
        "held for the new primary: 2 transactions, for up to 1.35 s, and none of them failed",
        "errors: 1 x 08007; of 1 commits of unknown outcome 1 had happened",
        "reads: 2, 1 of them while there was no primary, 0 failed, the longest took 0.10 s",
    ]


def test_writes_that_never_went_on_took_for_ever() -> None:
    assert Outage([write("a", 9, 9.5)], MOMENTS, ["a"]).resumed_s == float("inf")
