"""What may become of a transaction over several shards: more of the tree of errors (`trunkline.errors`)."""

from __future__ import annotations

from trunkline.errors import TrunklineError


class InvalidValue(TrunklineError):
    """A setting of ours that a session wants to have, with a value that it cannot have."""

    code = "TL0717"
    sqlstate = "22023"


class PreparedDisabled(TrunklineError):
    """A second shard is written to, and one of them has no room for what is prepared there."""

    code = "TL0710"
    sqlstate = "55000"
    hint = "Set max_prepared_transactions there to a value above zero, at least its max_connections."


class DecisionsMissing(TrunklineError):
    """The coordinator has no table of decisions, and the client's role may not make it."""

    code = "TL0711"
    sqlstate = "42501"


class TransactionInDoubt(TrunklineError):
    """What was to be waited for at the commit gate has not ended in time: SHOW TRANSACTIONS says what it is."""

    code = "TL0712"
    sqlstate = "55P03"
    hint = "SHOW TRANSACTIONS in the console says which, and what it waits for."


class CommitFailed(TrunklineError):
    """A shard was lost before the decision: everything has been rolled back, and may be tried again."""

    code = "TL0713"
    sqlstate = "40001"


class DistributedDeadlock(TrunklineError):
    """Transactions wait for each other, each at another shard; this one was the youngest. PostgreSQL's words."""

    code = "TL0714"
    sqlstate = "40P01"


class SecondShardRefused(TrunklineError):
    """transaction_mode = "single": a transaction writes to one shard only."""

    code = "TL0715"
    sqlstate = "0A000"


class PartlyCommitted(TrunklineError):
    """transaction_mode = "best_effort": some shards have committed, and another has not."""

    code = "TL0716"
    sqlstate = "40003"
