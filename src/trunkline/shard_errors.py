"""Errors of statements that concern several shards: a branch of the one tree of errors, whose rules hold here too."""

from __future__ import annotations

from trunkline.errors import ServerRefused, TrunklineError


class StatementFailed(ServerRefused):
    """What a server has answered to a statement that was asked of several; `said` is its ErrorResponse, all fields."""

    code = "TL0710"
    severity = "ERROR"
    said: bytes = b""


class TooManyRows(TrunklineError):
    """The rest of a portal's rows is more than is kept while another statement is run."""

    code = "TL0711"
    sqlstate = "53200"
    hint = "Take all rows of a portal before the next statement."


class DuplicateStatement(TrunklineError):
    """What PostgreSQL says of the name of a prepared statement; said by us where no server is asked."""

    code = "TL0712"
    sqlstate = "42P05"


class DuplicatePortal(TrunklineError):
    """The same of a portal."""

    code = "TL0713"
    sqlstate = "42P03"
