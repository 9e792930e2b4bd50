"""Errors of statements that concern several shards: a branch of the one tree of errors, whose rules hold here too."""

from __future__ import annotations

from trunkline.errors import ServerRefused, TrunklineError


class StatementFailed(ServerRefused):
    """What a server has answered to a statement that was asked of several; `said` is its ErrorResponse, all fields.

    `at_bind`: it was about the values, and came before they were bound.
    """

    code = "TL0710"
    severity = "ERROR"
    said: bytes = b""
    at_bind = False


class TooManyRows(TrunklineError):
    """The rest of a portal's rows is more than is kept while another statement is run."""

    code = "TL0711"
    sqlstate = "53200"
    hint = "Take all rows of a portal before the next statement."


class CopiesDiffer(TrunklineError):
    """A write to a reference table concerned other rows on one shard than on another: its copies are not equal."""

    code = "TL0715"
    sqlstate = "XX001"
    hint = "Compare the table on all shards, and make it equal again."


class RowsChanged(TrunklineError):
    """Rows that a write needs of other shards are others at the moment of the write than when they were read."""

    code = "TL0717"
    sqlstate = "40001"
    hint = "Say the transaction again."


class GatherTooLarge(TrunklineError):
    """Rows of several shards that one of them needs for a statement are more than the budget."""

    code = "TL0720"
    sqlstate = "53200"


class DuplicateStatement(TrunklineError):
    """What PostgreSQL says of the name of a prepared statement; said by us where no server is asked."""

    code = "TL0712"
    sqlstate = "42P05"


class PortalSpent(TrunklineError):
    """A portal without rows has been run, and is to be again; in PostgreSQL's words."""

    code = "TL0716"
    sqlstate = "55000"


class DuplicatePortal(TrunklineError):
    """The same of a portal."""

    code = "TL0713"
    sqlstate = "42P03"


class NotInBlock(TrunklineError):
    """DECLARE of a cursor that would end with its statement; in PostgreSQL's words."""

    code = "TL0718"
    sqlstate = "25P01"


class ScansForward(TrunklineError):
    """A cursor would have to go back; in PostgreSQL's words."""

    code = "TL0719"
    sqlstate = "55000"
    hint = "Declare it with SCROLL option to enable backward scan."


# --- transactions over several shards ---------------------------------------------------------------------------


class InvalidValue(TrunklineError):
    """A setting of ours that a session wants to have, with a value that it cannot have."""

    code = "TL0737"
    sqlstate = "22023"


class ResolveRefused(TrunklineError):
    """An operator wants to end a transaction otherwise than it was decided."""

    code = "TL0738"
    sqlstate = "55000"


class PreparedDisabled(TrunklineError):
    """A second shard is written to, and one of them has no room for what is prepared there."""

    code = "TL0730"
    sqlstate = "55000"
    hint = "Set max_prepared_transactions there to a value above zero, at least its max_connections."


class DecisionsMissing(TrunklineError):
    """The coordinator has no table of decisions, and the client's role may not make it."""

    code = "TL0731"
    sqlstate = "42501"


class TransactionInDoubt(TrunklineError):
    """What was to be waited for at the commit gate has not ended in time: SHOW TRANSACTIONS says what it is."""

    code = "TL0732"
    sqlstate = "55P03"
    hint = "SHOW TRANSACTIONS in the console says which, and what it waits for."


class CommitFailed(TrunklineError):
    """A shard was lost before the decision: everything has been rolled back, and may be tried again."""

    code = "TL0733"
    sqlstate = "40001"


class DistributedDeadlock(TrunklineError):
    """Transactions wait for each other, each at another shard; this one was the youngest. PostgreSQL's words."""

    code = "TL0734"
    sqlstate = "40P01"


class SecondShardRefused(TrunklineError):
    """transaction_mode = "single": a transaction writes to one shard only."""

    code = "TL0735"
    sqlstate = "0A000"


class PartlyCommitted(TrunklineError):
    """transaction_mode = "best_effort": some shards have committed, and another has not."""

    code = "TL0736"
    sqlstate = "40003"


# --- where tables lie -------------------------------------------------------------------------------------------


class PlacementBusy(TrunklineError):
    """A table cannot change where it lies while transactions are under way that do not end."""

    code = "TL0750"
    sqlstate = "55P03"
    hint = "Try again when they are over: SHOW CLIENTS and SHOW TRANSACTIONS in the console say whose they are."


class PlacementChanged(TrunklineError):
    """Another instance has declared a table meanwhile."""

    code = "TL0751"
    sqlstate = "40001"
    hint = "Try again."


class PlacementUnsure(TrunklineError):
    """The home shard is not heard, so another process may have declared a table unnoticed."""

    code = "TL0753"
    sqlstate = "57P03"
    hint = "Try again when the home shard answers; what the configuration file says of tables holds meanwhile."


class NotInTransaction(TrunklineError):
    """What is a transaction over several shards by itself cannot be part of another one."""

    code = "TL0752"
    sqlstate = "25001"
    hint = "Ask for it outside of a transaction block, in a statement of its own."


# --- merges -----------------------------------------------------------------------------------------------------


class MergeError(TrunklineError):
    """The rows of a shard are not what it has said that they would be."""

    code = "TL0741"
    sqlstate = "XX000"


class OutOfRange(TrunklineError):
    """The sum of what the shards have computed does not fit its type."""

    code = "TL0742"
    sqlstate = "22003"


# --- ids --------------------------------------------------------------------------------------------------------


class NotYetDefined(TrunklineError):
    """currval() or lastval() before nextval() in the client's session; in PostgreSQL's words."""

    code = "TL0760"
    sqlstate = "55000"


class SequenceBehind(TrunklineError):
    """The shards have counted for themselves, and the home shard's sequence would give ids that there are."""

    code = "TL0761"
    sqlstate = "55000"


class IdsMissing(TrunklineError):
    """The home shard has no sequence for ids of ours, and the client's role may not make it."""

    code = "TL0762"
    sqlstate = "42501"


# --- what runs in no transaction --------------------------------------------------------------------------------


class JobFailed(TrunklineError):
    """A shard could not do its part of what is done in no transaction; the SQLSTATE is its cause's where it has one."""

    code = "TL0770"
    sqlstate = "40001"
    hint = "Say the same statement again: shards that have done it are passed over. SHOW JOBS says what happened where."
