"""What a client hears by way of a shared connection, and when."""

from __future__ import annotations

import pytest

from tests.unit.relay import Relay, relay
from trunkline.pool.subscriber import MAX_WAITING_BYTES, Mark, Subscriber
from trunkline.protocol.messages import message


class Connection:
    """Notes who leaves."""

    mark_channel = b"marks"

    def __init__(self) -> None:
        self.left: set[bytes] = set()

    def leave(self, subscriber: Subscriber, channels: set[bytes]) -> None:
        self.left |= channels


def frame(channel: bytes, payload: bytes = b"") -> bytes:
    return message(b"A", b"\0\0\0\1" + channel + b"\0" + payload + b"\0")


def subscribed(made: Relay, *channels: bytes) -> tuple[Subscriber, Connection]:
    link, _ = made.client()
    connection = Connection()
    subscriber = Subscriber(link, connection)
    subscriber.live = set(channels)
    link.listening = subscriber
    return subscriber, connection


async def test_an_idle_client_hears_at_once_and_only_its_channels() -> None:
    async with relay() as made:
        subscriber, _ = subscribed(made, b"news")
        subscriber.hear(b"other", frame(b"other"))
        subscriber.hear(b"news", frame(b"news", b"1"))
        assert made.far_ends[0].bytes() == frame(b"news", b"1")


async def test_nothing_is_given_before_a_takeover_is_over() -> None:
    async with relay() as made:
        subscriber, _ = subscribed(made, b"news")
        subscriber.begin(Mark(subscriber, {b"more"}))
        for number in (b"1", b"2"):
            subscriber.hear(b"news", frame(b"news", number))
        assert made.far_ends[0].bytes() == b""
        subscriber.finish()
        subscriber.unit_over()
        assert made.far_ends[0].bytes() == frame(b"news", b"1") + frame(b"news", b"2")


async def test_what_its_server_sends_is_its_own_up_to_the_mark() -> None:
    async with relay() as made:
        subscriber, _ = subscribed(made, b"live")
        mark = Mark(subscriber, {b"news"})
        subscriber.begin(mark)
        assert not subscriber.on_own(frame(b"news")[5:])
        assert subscriber.on_own(frame(b"live")[5:])  # it comes by the shared connection too
        assert subscriber.on_own(frame(b"marks", b"another's")[5:])
        assert not mark.own.is_set()
        assert subscriber.on_own(frame(b"marks", mark.nonce)[5:])
        assert mark.own.is_set()
        assert subscriber.on_own(frame(b"news")[5:])


async def test_what_comes_before_the_mark_is_not_lost_where_the_shared_connection_is_past_it_first() -> None:
    async with relay() as made:
        subscriber, _ = subscribed(made)
        mark = Mark(subscriber, {b"news"})
        subscriber.begin(mark)
        subscriber.hear(b"news", frame(b"news", b"before"))
        subscriber.live |= mark.channels  # the shared connection meets the mark
        subscriber.hear(b"news", frame(b"news", b"behind"))
        assert not subscriber.on_own(frame(b"news", b"before")[5:])
        assert subscriber.on_own(frame(b"marks", mark.nonce)[5:])
        assert subscriber.on_own(frame(b"news", b"behind")[5:])
        subscriber.finish()
        subscriber.deliver()
        assert made.far_ends[0].bytes() == frame(b"news", b"behind")


STORIES: list[tuple[str, list[object], set[bytes]]] = [
    ("by itself", [b"UNLISTEN"], {b"news"}),
    ("in a block", [b"UNLISTEN", b"COMMIT"], {b"news"}),
    ("rolled back", [b"UNLISTEN", b"ROLLBACK"], set()),
    ("in a unit that failed", [b"UNLISTEN", False], set()),
    ("in a block with an error taken back", [b"UNLISTEN", True, b"COMMIT"], {b"news"}),
    ("never run", [b"SELECT 1"], set()),
    ("all by DISCARD ALL", [b"DISCARD ALL"], {b"news", b"other"}),
]


@pytest.mark.parametrize(("said", "ended"), [story[1:] for story in STORIES], ids=[story[0] for story in STORIES])
async def test_unlisten_ends_when_its_transaction_does(said: list[object], ended: set[bytes]) -> None:
    """Tags of the server; false and true are errors outside of a block and inside."""
    async with relay() as made:
        subscriber, connection = subscribed(made, b"news", b"other")
        subscriber.note_unlisten(frozenset((b"news",)))
        for word in said:
            if isinstance(word, bytes):
                subscriber.on_tag(word)
            else:
                subscriber.on_error(bool(word))
        subscriber.unit_over()
        assert connection.left == ended
        assert subscriber.live == {b"news", b"other"} - ended
        assert (subscriber.lessee.listening is None) == (not subscriber.live)


async def test_what_waits_on_a_channel_goes_with_it() -> None:
    async with relay() as made:
        subscriber, _ = subscribed(made, b"news", b"other")
        subscriber.begin(Mark(subscriber, set()))
        for channel in (b"news", b"other"):
            subscriber.hear(channel, frame(channel))
        subscriber.finish()
        subscriber.forget({b"news"})
        subscriber.deliver()
        assert made.far_ends[0].bytes() == frame(b"other")


async def test_a_client_that_reads_nothing_is_closed() -> None:
    async with relay() as made:
        subscriber, connection = subscribed(made, b"news")
        big = frame(b"news", b"x" * 7000)
        for _ in range(2 * MAX_WAITING_BYTES // len(big)):
            subscriber.hear(b"news", big)
            if not subscriber.live:
                break
        assert connection.left == {b"news"}
        assert subscriber.lessee.listening is None
