"""The queue of replies still owed: playbooks for each rule, the whole table, and a model for everything else."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.protocol.playbook import play, undone_of
from trunkline.protocol.server_session import REQUEST_NAMES, ServerSession

# Written down once more from the protocol documentation (sections 55.2 and 55.8), to be compared with the code's table:
# replies that are part of an answer, replies that end it.
PARTS = {
    "query": "TDCIdcGHWE",
    "function": "VE",
    "sync": "E",
    "parse": "",
    "parse_unnamed": "",
    "bind": "",
    "describe": "t",
    "execute": "DdcGHW",
    "close": "",
}
ENDS = {
    "query": "Z",
    "function": "Z",
    "sync": "Z",
    "parse": "1E",
    "parse_unnamed": "1E",
    "bind": "2E",
    "describe": "TnE",
    "execute": "CIsE",
    "close": "3E",
}
ANY_TIME = "NSA"
UNITS = ("query", "function", "sync")
REQUESTS = tuple(PARTS)
REPLIES = tuple(map(chr, range(256)))


# --- the table ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("request_name", REQUESTS)
def test_each_request_takes_exactly_the_replies_of_the_documentation(request_name: str) -> None:
    for reply in REPLIES:
        session = ServerSession()
        session.request(request_name)
        known = reply in PARTS[request_name] + ENDS[request_name] + ANY_TIME
        assert session.reply(reply, "I") == ("give" if known else "broken"), reply
        assert session.count == (0 if reply in ENDS[request_name] else 1), reply
        assert session.tainted is (not known), reply


@pytest.mark.parametrize("request_name", REQUESTS)
def test_the_answer_to_a_request_of_our_own_is_kept(request_name: str) -> None:
    for reply in PARTS[request_name] + ENDS[request_name] + ANY_TIME:
        session = ServerSession()
        session.request(request_name, "swallow")
        failed_in_a_batch = reply == "E" and request_name not in UNITS
        assert session.reply(reply, "I") == ("give" if reply == "A" or failed_in_a_batch else "keep"), reply


@pytest.mark.parametrize("reply", REPLIES)
def test_a_reply_to_nothing_taints_unless_it_may_come_at_any_time(reply: str) -> None:
    session = ServerSession()
    assert session.reply(reply, "I") == ("give" if reply in ANY_TIME + "E" else "broken")
    assert session.free is (reply in ANY_TIME)


def test_every_request_name_is_in_this_table() -> None:
    assert set(REQUEST_NAMES) - {"nothing"} == set(PARTS) == set(ENDS)


# --- units and their proof ------------------------------------------------------------------------------------------


def test_a_new_session_is_free() -> None:
    assert ServerSession().free


def test_a_simple_query_is_over_with_its_ready_for_query() -> None:
    play("""
        >> query
        == not-free owes=1 units=1
        << T give
        << D give
        << C give
        == not-free
        << ZI give
        == free owes=0 units=0
    """)


@pytest.mark.parametrize("status", ["T", "E"])
def test_a_session_in_a_transaction_is_not_free(status: str) -> None:
    play(f"""
        >> query
        << C give
        << Z{status} give
        == not-free synced owes=0 status={status}
    """)


def test_a_status_that_postgresql_does_not_have_is_not_idle() -> None:
    play("""
        >> query
        << Zi broken
        == not-free
    """)


def test_a_batch_is_not_over_before_its_sync_is_answered() -> None:
    play("""
        >> parse
        >> bind
        >> describe
        >> execute
        << 1 give
        << 2 give
        << T give
        << D give
        << C give
        == not-free not-synced owes=0
        >> sync
        << ZI give
        == free
    """)


def test_a_pipeline_of_units_is_free_behind_the_last() -> None:
    play("""
        >> query
        >> query
        >> parse
        >> sync
        == units=3
        << C give
        << ZI give
        == not-free owes=3
        << C give
        << ZI give
        << 1 give
        == not-free
        << ZI give
        == free
    """)


def test_a_portal_that_is_suspended_ends_its_execute() -> None:
    play("""
        >> bind
        >> execute
        >> execute
        >> sync
        << 2 give
        << D give
        << s give
        << D give
        << C give
        << ZT give
        == not-free
    """)


def test_describing_a_statement_takes_two_replies() -> None:
    play("""
        >> describe
        >> sync
        << t give
        == owes=2
        << n give
        == owes=1
        << ZI give
        == free
    """)


def test_a_server_that_shuts_down_says_so_unasked_and_is_never_free_again() -> None:
    play("""
        << E give
        == tainted not-free
        >> query
        << C give
        << ZI give
        == not-free
    """)


def test_a_breach_is_never_forgiven() -> None:
    play("""
        >> query
        << 1 broken
        << C give
        << ZI give
        == tainted not-free
    """)


# --- errors and skipping --------------------------------------------------------------------------------------------


def test_an_error_in_a_simple_query_is_part_of_its_reply() -> None:
    play("""
        >> query
        << E give
        == not-skipping owes=1
        << ZE give
        == not-free
    """)


def test_an_error_drops_the_batch_up_to_its_sync() -> None:
    play("""
        >> parse
        >> bind
        >> execute
        >> sync
        >> query
        << E give
        == not-skipping owes=2 units=2
        << ZI give
        << C give
        << ZI give
        == free
    """)


def test_what_the_server_will_skip_is_not_entered() -> None:
    play("""
        >> parse
        << E give
        >> bind skipped
        >> execute skipped
        >> query skipped
        == owes=0 not-free
        >> sync
        == not-skipping owes=1
        << ZI give
        == free
    """)


def test_a_query_behind_a_failed_batch_is_never_answered() -> None:
    play("""
        >> parse
        >> query
        >> sync
        == units=2
        << E give
        == owes=1 units=1
        << ZI give
        == free
    """)


def test_an_error_at_sync_belongs_to_the_sync() -> None:
    play("""
        >> sync
        << E give
        == not-skipping owes=1
        << ZI give
        == free
    """)


def test_what_an_error_undid_is_listed_oldest_first() -> None:
    play("""
        >> parse p0
        >> parse p1
        >> bind b1
        >> close c1
        >> execute
        >> sync
        << 1 give
        << E give
        == undone=parse:p1!,bind:b1,close:c1
    """)


def test_only_the_failed_request_is_marked_even_if_it_had_no_note() -> None:
    play("""
        >> bind
        >> parse p1
        << E give
        == undone=parse:p1
    """)


def test_what_comes_behind_the_sync_is_not_undone() -> None:
    play("""
        >> parse p1
        >> sync
        >> parse p2
        >> sync
        << E give
        << ZI give
        == undone=parse:p1!
        << 1 give
        << ZI give
        == free undone=parse:p1!
    """)


# --- swallowed and faked --------------------------------------------------------------------------------------------


def test_a_parse_of_our_own_is_kept_from_the_client() -> None:
    play("""
        >> parse swallow
        >> bind
        >> sync
        << 1 keep
        << 2 give
        << ZI give
        == free
    """)


def test_the_error_of_a_parse_of_our_own_answers_the_clients_bind() -> None:
    play("""
        >> parse swallow s1
        >> bind b1
        >> sync
        << E give
        == undone=parse:s1!,bind:b1
        << ZI give
        == free
    """)


def test_a_unit_has_failed_until_its_ready_for_query() -> None:
    play("""
        >> query
        >> sync
        == not-failed
        << E give
        == failed
        << ZI give
        == not-failed
        << E give
        == failed
    """)


def test_what_was_owed_when_the_connection_is_lost_is_told_and_taken_back() -> None:
    session = play("""
        >> query q1
        >> parse p1
        >> bind b1
        >> query q2
        >> sync
        >> close c1
    """)
    assert [name for name, _, _ in session.lose()] == ["query", "parse", "bind", "query", "sync", "close"]
    assert undone_of(session) == "query:q1!,parse:p1!,bind:b1,query:q2,close:c1!"
    assert (session.count, session.units, session.free) == (0, 0, False)


def test_a_notification_is_the_clients_whoever_asked() -> None:
    play("""
        >> query swallow
        << N keep
        << A give
        << S keep
        << C keep
        << ZI keep
        == free
    """)


def test_a_fake_has_its_place_in_the_order() -> None:
    play("""
        >> bind
        >> close fake
        >> parse fake
        >> execute
        >> sync
        ?? -
        << 2 give
        ?? close
        ?? parse
        ?? -
        << C give
        << ZI give
        == free
    """)


def test_a_fake_behind_an_error_is_never_given() -> None:
    play("""
        >> bind
        >> close fake c1
        >> sync
        << E give
        ?? -
        == undone=close:c1
    """)


def test_a_session_that_owes_only_a_fake_is_not_free() -> None:
    play("""
        >> close fake
        == not-free
        ?? close
        == not-free
    """)


# --- COPY -----------------------------------------------------------------------------------------------------------


def test_copy_out_ends_with_its_command_complete() -> None:
    play("""
        >> query
        << H give
        == copying=out
        << d give
        << d give
        << c give
        << C give
        == copying=no
        << ZI give
        == free
    """)


def test_copy_in_of_a_simple_query() -> None:
    play("""
        >> query
        << G give
        == copying=in not-free
        ~~ copy_done
        == copy_ended
        << C give
        << ZI give
        == free
    """)


def test_two_copies_in_one_query() -> None:
    play("""
        >> query
        << G give
        ~~ copy_done
        << C give
        << G give
        == copying=in not-copy_ended
        ~~ copy_done
        << C give
        << ZI give
        == free
    """)


@pytest.mark.parametrize("request_name", ["query", "execute"])
def test_syncs_sent_behind_a_copy_from_stdin_are_no_debt(request_name: str) -> None:
    play(f"""
        >> {request_name}
        >> sync
        >> sync
        << G give
        == owes=1
        ~~ copy_done
        << C give
    """)


def test_the_sync_behind_the_copys_end_is_owed_and_answered() -> None:
    play("""
        >> bind
        >> execute
        >> sync
        << 2 give
        << G give
        == owes=1 units=0
        ~~ copy_done
        >> sync
        << C give
        == not-free
        << ZI give
        == free
    """)


def test_a_sync_behind_a_copy_to_stdout_is_answered() -> None:
    play("""
        >> execute
        >> sync
        << H give
        << d give
        << c give
        << C give
        == owes=1
        << ZI give
        == free
    """)


def test_a_copy_that_fails_skips_to_the_next_sync() -> None:
    play("""
        >> execute
        >> sync
        << G give
        << E give
        == copying=no skipping owes=0 not-free
        >> sync
        << ZI give
        == free
    """)


def test_copying_both_ways_is_replication() -> None:
    play("""
        >> query
        << W give
        == copying=both
        << d give
        << c give
        << C give
        << ZI give
        == copying=no free
    """)


# --- notes and the ring ---------------------------------------------------------------------------------------------


def test_the_ring_grows_while_it_is_wrapped_around() -> None:
    session = ServerSession()
    for _ in range(6):  # the head is in the middle of the first ring
        session.request("parse")
    for _ in range(6):
        session.reply("1")
    for number in range(1000):
        session.request("parse", "forward", number)
    session.reply("E")
    assert [note for _, _, note, _ in session.undone] == list(range(1000))


def test_a_note_lives_as_long_as_its_request() -> None:
    class Note:
        pass

    import weakref

    session, note = ServerSession(), Note()
    alive = weakref.ref(note)
    session.request("parse", "forward", note)
    del note
    assert alive() is not None
    session.reply("1")
    assert alive() is None


def test_the_notes_of_a_session_that_ends_in_the_middle_are_let_go() -> None:
    import weakref

    class Note:
        pass

    session, note = ServerSession(), Note()
    alive = weakref.ref(note)
    session.request("parse", "forward", note)
    del note, session
    assert alive() is None


def test_repr_shows_the_state() -> None:
    session = play("""
        >> parse
        >> sync
    """)
    assert repr(session) == "<ServerSession I owes 2 ['parse', 'sync']>"


# --- against a model ------------------------------------------------------------------------------------------------


@dataclass
class Model:
    """The queue in the plainest Python: a list, and the documentation's rules in the order they are written there."""

    queue: list[tuple[str, str, int]] = field(default_factory=list)
    status: str = "I"
    copying: str = "no"
    skipping: bool = False
    synced: bool = True
    tainted: bool = False
    failed: bool = False
    undone: list[tuple[int, bool]] = field(default_factory=list)

    def request(self, name: str, action: str, note: int) -> bool:
        if self.skipping and name != "sync":
            return False
        self.skipping = self.synced = False
        self.queue.append((name, action, note))
        return True

    def fake(self) -> str | None:
        return self.queue.pop(0)[0] if self.queue and self.queue[0][1] == "fake" else None

    def reply(self, kind: str, status: str) -> str:
        name, action, _ = self.queue[0] if self.queue else ("nothing", "forward", 0)
        verdict = "keep" if action == "swallow" and kind != "A" else "give"
        if kind in ANY_TIME:
            return verdict
        if name == "nothing" or kind not in PARTS[name] + ENDS[name]:
            self.tainted = True
            return "give" if (name, kind) == ("nothing", "E") else "broken"
        if kind == "E":
            return self._error(name, action, verdict)
        self._pass(name, kind, status)
        return verdict

    def _pass(self, name: str, kind: str, status: str) -> None:
        if kind in "GHW":
            self.copying = {"G": "in", "H": "out", "W": "both"}[kind]
            while kind == "G" and len(self.queue) > 1 and self.queue[1][0] == "sync":
                del self.queue[1]
        elif kind in "CZ" or kind in ENDS[name]:
            self.copying = "no"
        if kind in ENDS[name]:
            self.queue.pop(0)
        if kind == "Z":
            self.status, self.synced, self.failed = status, not self.queue, False

    def _error(self, name: str, action: str, verdict: str) -> str:
        self.copying = "no"
        self.failed = True
        if name in UNITS:
            return verdict
        failed = True
        while self.queue and self.queue[0][0] != "sync":
            self.undone.append((self.queue.pop(0)[2], failed))
            failed = False
        self.skipping = not self.queue  # a Sync that is on its way ends it
        return "give"

    @property
    def units(self) -> int:
        return sum(name in UNITS for name, _, _ in self.queue)

    @property
    def free(self) -> bool:
        return self.synced and not self.queue and self.status == "I" and self.copying == "no" and not self.tainted


def facts(session: ServerSession) -> dict[str, object]:
    return {
        "count": session.count,
        "units": session.units,
        "status": chr(session.status),
        "copying": ("no", "in", "out", "both")[session.copying],
        "skipping": session.skipping,
        "synced": session.synced,
        "tainted": session.tainted,
        "failed": session.failed,
        "undone": [(note, failed) for _, _, note, failed in session.undone],
        "free": session.free,
    }


def facts_of_model(model: Model) -> dict[str, object]:
    names = ("units", "status", "copying", "skipping", "synced", "tainted", "failed", "undone", "free")
    return {"count": len(model.queue), **{name: getattr(model, name) for name in names}}


requests = st.tuples(
    st.just(">>"), st.sampled_from(REQUESTS), st.sampled_from(["forward", "forward", "swallow", "fake"])
)
legal = st.tuples(st.just("<<"), st.integers(0, 20), st.sampled_from("ITE"))  # one of what the head allows
illegal = st.tuples(st.just("<!"), st.sampled_from("123CDEGHINSTVWZcdnst?"), st.sampled_from("ITE"))
steps = st.lists(st.one_of(requests, legal, legal, requests, illegal), max_size=120)


@settings(max_examples=3000)
@given(steps)
def test_any_sequence_goes_as_in_the_model(sequence: list[tuple[str, object, str]]) -> None:
    session, model = ServerSession(), Model()
    for number, (step, what, how) in enumerate(sequence):
        if step == ">>":
            units_are_never_fakes = "forward" if how == "fake" and what in UNITS else how
            arguments = (str(what), units_are_never_fakes, number)
            assert session.request(*arguments) == model.request(*arguments)
        else:
            assert session.fake() == model.fake()
            kind = what if step == "<!" else _allowed(model, what)
            assert session.reply(str(kind), how) == model.reply(str(kind), how), kind
        assert facts(session) == facts_of_model(model)


def _allowed(model: Model, choice: object) -> str:
    name = model.queue[0][0] if model.queue else None
    replies = PARTS[name] + ENDS[name] if name else "N"
    assert isinstance(choice, int)
    return replies[choice % len(replies)]


@given(st.lists(st.integers(0, 40), min_size=1, max_size=30))
def test_bursts_of_any_size_keep_their_order(bursts: list[int]) -> None:
    """The ring grows and wraps around at every offset; the notes come out as they went in."""
    session, sent, undone = ServerSession(), [], []
    for burst in bursts:
        for _ in range(burst):
            sent.append(len(sent))
            session.request("parse", "forward", sent[-1])
        for _ in range(burst // 2):
            session.reply("1")
    waiting = session.count
    session.reply("E")
    undone = [note for _, _, note, _ in session.undone]
    assert undone == sent[len(sent) - waiting :]


# --- whose turn it is -----------------------------------------------------------------------------------------------


def test_a_batch_is_the_clients_turn_until_it_is_synced_or_flushed() -> None:
    session = ServerSession()
    for request in ("parse", "bind", "execute"):
        session.request(request)
        assert not session.running
    session.request("sync")
    assert session.running
    for reply in "12CZ":
        session.reply(reply, "I")
    assert not session.running


def test_what_was_flushed_is_the_servers_turn_until_it_is_answered() -> None:
    session = ServerSession()
    session.request("parse")
    session.request("bind")
    session.flush()
    session.request("execute")
    assert session.running
    session.reply("1")
    assert session.running
    session.reply("2")
    assert not session.running
    session.flush()
    session.reply("E")
    assert not session.running


def test_an_error_in_the_middle_of_a_copy_is_remembered_until_its_unit_is_over() -> None:
    session = ServerSession()
    session.request("query")
    session.reply("G")
    assert not session.broke_copy
    session.reply("E")
    assert session.broke_copy
    session.reply("Z", "I")
    assert not session.broke_copy
    session.request("query")
    session.reply("E")
    assert not session.broke_copy
