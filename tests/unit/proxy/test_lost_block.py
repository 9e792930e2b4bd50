"""A transaction block without its server: what is answered, and what ends it."""

from __future__ import annotations

import pytest

from trunkline.errors import ServerLost
from trunkline.protocol.messages import message, parse_fields
from trunkline.protocol.scanner import FrameCutter
from trunkline.protocol.statement import Statement
from trunkline.proxy.losses import Farewell, loss
from trunkline.proxy.lost_block import Ending, LostBlock, ending_of


class Names:
    """The part of a client that a block knows."""

    def __init__(self) -> None:
        self.names: dict[bytes, Statement] | None = None
        self.unnamed: bytes | None = None

    def name(self, name: bytes, statement: Statement | None) -> None:
        self.names = self.names or {}
        if statement is None:
            self.names.pop(name, None)
        else:
            self.names[name] = statement


def block(*, pending: bool = False, in_block: bool = True) -> LostBlock:
    return LostBlock(Names(), in_block, loss(None, unknown=False) if pending else None, 0.0)


def heard(said: bytes | None) -> str:
    assert said is not None
    words = []
    for kind, body in FrameCutter(1 << 20).feed(said):
        letter = chr(kind)
        words.append({"E": lambda b: parse_fields(b)["C"], "Z": bytes.decode, "C": lambda b: b[:-1].decode()}.get(
            letter, lambda b, letter=letter: letter)(body))  # fmt: skip
    return " ".join(words)


def parse(sql: bytes, name: bytes = b"") -> tuple[str, bytes]:
    return "P", name + b"\0" + sql + b"\0\0\0"


def bind(name: bytes = b"", portal: bytes = b"") -> tuple[str, bytes]:
    return "B", portal + b"\0" + name + b"\0" + bytes(6)


def execute(portal: bytes = b"") -> tuple[str, bytes]:
    return "E", portal + bytes(5)


def play(lost: LostBlock, *messages: tuple[str, bytes]) -> str:
    """All answers up to the first error, which is marked."""
    words = []
    for kind, body in messages:
        said, failed = lost.message(kind, body)
        words.append(heard(said) + ("!" if failed else ""))
        if failed:
            break
    return " ".join(words)


@pytest.mark.parametrize(
    ("sql", "ending"),
    [
        (b"rollback", Ending(keeps=False, more=False)),
        (b" ABORT work ; ; ", Ending(keeps=False, more=False)),
        (b"/* a */ RollBack -- b\n Transaction /* c */;-- d", Ending(keeps=False, more=False)),
        (b"commit", Ending(keeps=True, more=False)),
        (b"END TRANSACTION and no chain", Ending(keeps=True, more=False)),
        (b"prepare transaction 'x'", Ending(keeps=True, more=False)),
        (b"rollback; /* then */ select 1", Ending(keeps=False, more=True)),
        (b"commit; begin", Ending(keeps=True, more=True)),
        (b"rollback and chain", None),
        (b"rollback to s", None),
        (b"rollback work to savepoint s", None),
        (b"rollback prepared 'x'", None),
        (b"commit prepared 'x'", None),
        (b"committed", None),
        (b"prepare x as select 1", None),
        (b"endless", None),
        (b"select 'rollback'", None),
        (b"", None),
        (b"/* rollback", None),
    ],
)
def test_what_ends_a_block(sql: bytes, ending: Ending | None) -> None:
    assert ending_of(sql) == ending


def test_a_long_comment_is_read_in_one_pass() -> None:
    assert ending_of(b"/*" + b" *" * 100_000 + b"*/ rollback") == Ending(keeps=False, more=False)
    assert ending_of(b"/*" * 100_000) is None


def test_all_but_the_end_of_the_block_hears_25p02() -> None:
    lost = block()
    assert heard(lost.query(b"select 1")) == "25P02 E"
    assert heard(lost.function()) == "25P02 E"
    assert heard(lost.sync()) == "E"
    assert heard(lost.query(b"rollback to s")) == "25P02 E"
    assert heard(lost.query(b"commit")) == "ROLLBACK I"
    assert lost.over


def test_what_was_not_told_comes_with_the_first_statement() -> None:
    lost = block(pending=True)
    assert heard(lost.query(b"select 1")) == "08006 E"
    assert heard(lost.query(b"select 1")) == "25P02 E"


def test_a_block_is_not_called_failed_before_its_error_was_told() -> None:
    lost = block(pending=True)
    assert play(lost, ("C", b"Ss\0")) == "3"
    assert heard(lost.sync()) == "08006 E"
    assert heard(lost.sync()) == "E"
    assert heard(lost.query(b"select 1")) == "25P02 E"


def test_a_rollback_that_is_the_first_statement_needs_no_error() -> None:
    lost = block(pending=True)
    assert heard(lost.query(b"rollback")) == "ROLLBACK I"
    assert lost.over


def test_a_commit_is_never_answered_as_if_it_had_been_one() -> None:
    lost = block(pending=True)
    assert heard(lost.query(b"commit")) == "08006 I"
    assert lost.over
    lost = block(pending=True)
    assert play(lost, parse(b"commit"), bind(), execute()) == "1 2 08006!"
    assert lost.status == b"I"


def test_a_rollback_with_more_behind_it_is_run_elsewhere() -> None:
    lost = block(pending=True)
    assert lost.query(b"rollback; select 1") is None
    assert lost.over
    lost = block()
    assert heard(lost.query(b"commit; select 1")) == "25P02 E"


def test_a_rollback_in_the_extended_protocol() -> None:
    lost = block()
    described = ("D", b"P\0")
    assert play(lost, parse(b"rollback"), ("D", b"S\0"), bind(), described, execute()) == "1 t n 2 n ROLLBACK"
    assert lost.over


def test_a_named_rollback_that_was_prepared_before() -> None:
    lost = block()
    assert play(lost, parse(b"rollback", b"r"), parse(b"select 1", b"s")) == "1 25P02!"
    assert play(lost, bind(b"r", b"p"), execute(b"p")) == "2 ROLLBACK"
    assert list(lost.client.names or ()) == [b"r"]


def test_names_that_nothing_has() -> None:
    lost = block()
    assert play(lost, bind(b"none")) == "26000!"
    assert play(lost, bind()) == "26000!"
    assert play(lost, execute(b"none")) == "34000!"
    assert play(lost, ("C", b"Snone\0"), ("C", b"P\0"), ("C", b"S\0")) == "3 3 3"


def test_closing_a_statement_takes_its_name_away() -> None:
    lost = block()
    assert play(lost, parse(b"rollback", b"r"), ("C", b"Sr\0"), bind(b"r")) == "1 3 26000!"


def test_a_batch_outside_a_block_only_has_its_error_to_hear() -> None:
    lost = block(pending=True, in_block=False)
    assert play(lost, parse(b"rollback")) == "08006!"
    assert lost.over
    lost = block(pending=True, in_block=False)
    assert heard(lost.sync()) == "08006 I"
    assert lost.over
    lost = block(pending=True, in_block=False)
    assert heard(lost.query(b"select 1")) == "08006 I"
    assert lost.over


@pytest.mark.parametrize("broken", [("P", b"no end"), ("B", b"x"), ("P", b""), ("D", b""), ("E", b""), ("C", b"")])
def test_a_malformed_message_is_an_error_and_not_an_exception(broken: tuple[str, bytes]) -> None:
    assert play(block(), broken).endswith(("!", "3"))


def test_there_is_no_block_where_nothing_is_open_and_nothing_untold() -> None:
    end = Farewell(b"", ServerLost("x"), in_block=False, pending=False, skipping=True)
    assert LostBlock.after(Names(), end, 0.0) is None


def test_names_are_known_by_their_first_63_bytes() -> None:
    lost = block()
    assert play(lost, parse(b"rollback", b"r" * 70), bind(b"r" * 63)) == "1 2"


def test_an_unnamed_parse_is_remembered_whole() -> None:
    lost = block()
    play(lost, parse(b"rollback"))
    assert lost.client.unnamed == message(b"P", parse(b"rollback")[1])
