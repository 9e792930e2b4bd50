"""What is gathered for a client goes out, or is unsaid."""

from __future__ import annotations

from trunkline.proxy.outbox import GATHERED_BYTES, Outbox


class Told:
    """A client's link, as far as this writes to it."""

    unsent_count = 0

    def __init__(self) -> None:
        self.got = b""

    def write(self, data: bytes) -> None:
        self.got += data


async def test_rows_go_out_when_there_is_much_of_them() -> None:
    link = Told()
    out = Outbox(link)  # type: ignore[arg-type]
    await out.give(b"a")
    assert link.got == b""
    await out.give(b"b" * GATHERED_BYTES)
    assert link.got == b"a" + b"b" * GATHERED_BYTES


async def test_what_has_not_gone_out_is_unsaid_and_nothing_else() -> None:
    link = Told()
    out = Outbox(link)  # type: ignore[arg-type]
    out.write(b"kept ")
    place = out.place()
    out.write(b"dropped")
    out.unsay(place)
    out.write(b"told")
    out.send()
    out.unsay(place)
    assert link.got == b"kept told"
