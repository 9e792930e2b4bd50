"""What a statement may leave in the session that runs it, read from its parse tree.

"May": whether it did is told by the server when the transaction is over. So an effect that is listed here and does not
happen costs one question; one that is not listed and happens would leak to the next client. A text that does not parse
is taken to have them all.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntFlag

from trunkline.routing.sql import Node, only, parse, walk
from trunkline.routing.text.template import dotted_names, template, words_of

CAPACITY = 4096
DEFINES_NOTHING = frozenset(("TransactionStmt", "ConstraintsSetStmt"))


class State(IntFlag):
    """What can be left in a session."""

    SETTINGS = 1
    LOCKS = 2  # advisory, of the session
    TEMPORARY = 4  # tables and all else in pg_temp
    CURSORS = 8  # WITH HOLD
    PREPARED = 16  # by SQL
    LISTENING = 32
    SEQUENCES = 64  # what lastval and currval go by
    LARGE = 256  # a statement too large to be remembered for another server
    MEANING = 1024  # statements that were prepared before a setting changed by which they were understood
    CODE = 512  # not a state: functions and the like may not be what they were
    UNKNOWABLE = 128  # what no query shows and nothing takes back: LOAD, setseed, a named dblink connection


NO_STATE = State(0)
PROBED = State.SETTINGS | State.LOCKS | State.TEMPORARY | State.CURSORS | State.PREPARED | State.LISTENING  # by a query


@dataclass(frozen=True, slots=True)
class Effects:
    """What one text may do: state that it leaves, and state that it may end (which matters to who has some)."""

    leaves: State = NO_STATE
    ends: State = NO_STATE
    settings: frozenset[bytes] = frozenset()  # that are set, lower case
    other_settings: bool = False  # some may be set whose names are not seen
    resets: frozenset[bytes] = frozenset()  # settings that go back to what the startup packet said; b"*" is all
    binds_names: bool = False  # a parameter of the statement is the name of a setting
    uses_prepared: bool = False  # speaks of prepared statements by SQL
    changes_code: bool = False  # functions, triggers and the like may not be what they were
    reads_channels: bool = False  # asks what the session listens to
    unlistens: frozenset[bytes] = frozenset()  # channels; b"*" is all
    closes_database: frozenset[bytes] = frozenset()  # databases that nobody may be connected to while it runs

    def __or__(self, other: Effects) -> Effects:
        return Effects(
            self.leaves | other.leaves,
            self.ends | other.ends,
            self.settings | other.settings,
            self.other_settings or other.other_settings,
            self.resets | other.resets,
            self.binds_names or other.binds_names,
            self.uses_prepared or other.uses_prepared,
            self.changes_code or other.changes_code,
            self.reads_channels or other.reads_channels,
            self.unlistens | other.unlistens,
            self.closes_database | other.closes_database,
        )


NOTHING = Effects()
ANYTHING = Effects(PROBED, PROBED, other_settings=True)  # of code that is not seen

# Statements that may put code behind a name.
_CHANGE_CODE = frozenset(
    (
        "AlterFunctionStmt",
        "AlterTableStmt",
        "CreateEventTrigStmt",
        "CreateExtensionStmt",
        "CreateFunctionStmt",
        "CreatePolicyStmt",
        "CreateStmt",
        "CreateTrigStmt",
        "RenameStmt",
        "RuleStmt",
        "ViewStmt",
    )
)

# Statements that make something in pg_temp if that comes first in the search_path.
_CREATE = frozenset(
    (
        "CompositeTypeStmt",
        "CreateDomainStmt",
        "CreateEnumStmt",
        "CreateFunctionStmt",
        "CreateRangeStmt",
        "CreateSeqStmt",
        "CreateStmt",
        "CreateTableAsStmt",
        "DefineStmt",
        "ViewStmt",
    )
)

Reader = Callable[[Node, bytes], Effects]


# --- nodes --------------------------------------------------------------------------------------------------------


def _variable_set(node: Node, text: bytes) -> Effects:
    if node.get("is_local") or node.get("name", "").startswith("TRANSACTION"):
        return NOTHING
    kind, name = node["kind"], node.get("name", "").lower().encode()
    if kind == "VAR_RESET_ALL":
        return Effects(State.SETTINGS, resets=frozenset((b"*",)), other_settings=True)
    if kind == "VAR_SET_MULTI":  # SESSION CHARACTERISTICS
        return Effects(State.SETTINGS, other_settings=True)
    if kind == "VAR_SET_DEFAULT" and name == b"trunkline.min_lsn":  # ours, in the place of a token
        return NOTHING
    resets = frozenset((name,)) if kind in ("VAR_RESET", "VAR_SET_DEFAULT") else frozenset()
    return Effects(State.SETTINGS, settings=frozenset((name,)), resets=resets)


def _discard(node: Node, text: bytes) -> Effects:
    if node["target"] == "DISCARD_ALL":
        return Effects(State.SETTINGS, PROBED, resets=frozenset((b"*",)), other_settings=True)
    return Effects(ends=State.TEMPORARY | State.SEQUENCES)


def _declare(node: Node, text: bytes) -> Effects:
    return Effects(State.CURSORS) if node.get("options", 0) & _HOLD else NOTHING


def _unlisten(node: Node, text: bytes) -> Effects:
    return Effects(ends=State.LISTENING, unlistens=frozenset((node.get("conditionname", "*").encode(),)))


def _code(node: Node, text: bytes) -> Effects:
    """DO and CALL: what they run is a string, or stands in the catalog; dotted names in it may be settings."""
    return ANYTHING | Effects(settings=dotted_names(text))


def _function(node: Node, text: bytes) -> Effects:
    name = only(node["funcname"][-1])[1].get("sval", "").lower()
    reader = _FUNCTIONS.get(name)
    return reader(node, text) if reader is not None else NOTHING


def _temporary(node: Node, text: bytes) -> Effects:
    return Effects(State.TEMPORARY)


def _database(node: Node, text: bytes) -> Effects:
    names = {node.get("dbname", "")}
    names |= {
        value["DefElem"]["arg"]["String"]["sval"]
        for value in node.get("options", ())
        if value.get("DefElem", {}).get("defname") == "template" and "String" in value["DefElem"].get("arg", {})
    }
    return Effects(closes_database=frozenset(name.encode() for name in names if name))


def _rename(node: Node, text: bytes) -> Effects:
    if node.get("renameType") != "OBJECT_DATABASE":
        return NOTHING
    return Effects(closes_database=frozenset((node.get("subname", "").encode(),)))


_HOLD = 32  # CURSOR_OPT_HOLD (parsenodes.h)

_NODES: dict[str, Reader] = {
    "VariableSetStmt": _variable_set,
    "DiscardStmt": _discard,
    "DeclareCursorStmt": _declare,
    "ClosePortalStmt": lambda node, text: Effects(ends=State.CURSORS),
    "DropStmt": lambda node, text: Effects(ends=State.TEMPORARY),
    "ListenStmt": lambda node, text: Effects(State.LISTENING),
    "UnlistenStmt": _unlisten,
    "LoadStmt": lambda node, text: Effects(State.UNKNOWABLE),
    "PrepareStmt": lambda node, text: Effects(State.PREPARED, uses_prepared=True),
    "ExecuteStmt": lambda node, text: Effects(uses_prepared=True),
    "DeallocateStmt": lambda node, text: Effects(ends=State.PREPARED, uses_prepared=not node.get("isall")),
    "DoStmt": _code,
    "CallStmt": _code,
    "FuncCall": _function,
    "AlterDatabaseStmt": _database,  # of its tablespace
    "DropdbStmt": _database,
    "CreatedbStmt": lambda node, text: _database(node, text) | Effects(closes_database=frozenset((b"template1",))),
    "RenameStmt": _rename,
}


# --- functions ----------------------------------------------------------------------------------------------------


def _set_config(node: Node, text: bytes) -> Effects:
    args = node.get("args", [])
    if len(args) != 3:
        return NOTHING
    name, _, is_local = args
    if is_local.get("A_Const", {}).get("boolval", {}).get("boolval"):  # true; false is an empty boolval
        return NOTHING
    literal = name.get("A_Const", {}).get("sval", {}).get("sval")
    if literal is not None:
        return Effects(State.SETTINGS, settings=frozenset((literal.lower().encode(),)))
    return Effects(State.SETTINGS, other_settings=True, binds_names=True)


def _lock(node: Node, text: bytes) -> Effects:
    return Effects(State.LOCKS)


_FUNCTIONS: dict[str, Reader] = (
    {
        "set_config": _set_config,
        "pg_listening_channels": lambda node, text: Effects(State.LISTENING, reads_channels=True),
        "pg_advisory_lock": _lock,
        "pg_advisory_lock_shared": _lock,
        "pg_try_advisory_lock": _lock,
        "pg_try_advisory_lock_shared": _lock,
        "lastval": lambda node, text: Effects(State.SEQUENCES),
        "currval": lambda node, text: Effects(State.SEQUENCES),
    }
    | {
        name: lambda node, text: Effects(ends=State.LOCKS)
        for name in ("pg_advisory_unlock", "pg_advisory_unlock_shared", "pg_advisory_unlock_all")
    }
    | {
        name: lambda node, text: Effects(State.UNKNOWABLE)
        for name in (
            "setseed",
            "dblink_connect",
            "dblink_connect_u",
            "pg_create_logical_replication_slot",
            "pg_create_physical_replication_slot",
        )
    }
)


# --- texts --------------------------------------------------------------------------------------------------------


def effects_of(text: bytes, foreign: frozenset[bytes] = frozenset()) -> Effects:
    """The effects of a query string. `foreign` are words of this database behind which there is unseen code."""
    statements = parse(text)
    if statements is None:
        return ANYTHING | Effects(settings=dotted_names(text))
    found = ANYTHING if foreign and foreign & words_of(text) else NOTHING
    for name, node in statements:
        found |= _of_statement(name, node, text)
    return found


def _of_statement(name: str, node: Node, text: bytes) -> Effects:
    leaves = State.TEMPORARY if name in _CREATE else NO_STATE
    if name == "CreateFunctionStmt":  # its body runs later
        return Effects(leaves, changes_code=True)
    found = Effects(leaves, changes_code=name in _CHANGE_CODE and not _makes_temporary(node))
    for key, value in [(name, node), *walk(node)]:
        if key in _NODES:
            found |= _NODES[key](value, text)
        elif (key, value) in _TEMPORARY or (key == "String" and value.get("sval") == "pg_temp"):
            found |= Effects(State.TEMPORARY)
    return found


_TEMPORARY = (("relpersistence", "t"), ("schemaname", "pg_temp"))


def stays(found: Effects, text: bytes, search_path: Sequence[str]) -> bool:
    """Whether a statement with these effects leaves something, where names are made by this path."""
    if found.leaves != State.TEMPORARY or "pg_temp" in search_path:
        return bool(found.leaves)
    statements = parse(text) or []
    return not all(name in _CREATE and not _is_temporary(node) for name, node in statements)


def _is_temporary(node: Node) -> bool:
    return any(
        (key, value) in _TEMPORARY or (key == "String" and value.get("sval") == "pg_temp") for key, value in walk(node)
    )


def _makes_temporary(node: Node) -> bool:
    return any(node.get(key, {}).get("relpersistence") == "t" for key in ("relation", "view"))


@dataclass(slots=True)
class EffectsCache:
    """Effects by template, least recently used gone first."""

    foreign: frozenset[bytes] = frozenset()
    _known: OrderedDict[bytes, Effects] = field(default_factory=OrderedDict)

    def of(self, text: bytes, *, ambiguous: bool = False) -> Effects:
        """`ambiguous`: not all of it is here, or what is a string in it is not certain."""
        if ambiguous:
            return ANYTHING
        key = template(text)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = effects_of(text, self.foreign)
            if len(self._known) > CAPACITY:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(key)
        return found
