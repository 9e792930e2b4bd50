"""What auth_query has answered, as the secret of one user, or as a reason why it is none.

A name that is not the one that was asked for is nobody's: with another's name, a client would be let in as another.
"""

from __future__ import annotations

from collections.abc import Sequence

from trunkline import errors
from trunkline.auth.secret import Secret

Row = tuple[bytes | None, ...]


def read_user(rows: Sequence[Row], user: str) -> Secret | None:
    """The user's secret, an empty one if no password may match, None for no such user; AuthUnavailable."""
    if not rows:
        return None
    if len(rows) > 1:
        raise errors.AuthUnavailable(f"auth_query response contained {len(rows)} rows")
    if len(rows[0]) != 2:
        raise errors.AuthUnavailable(f"expected 2 columns from auth_query, not {len(rows[0])}")
    name, password = rows[0]
    if name is None:
        raise errors.AuthUnavailable("auth_query response contained null user name")
    if name != user.encode(errors="surrogateescape"):
        return None
    return Secret.parse((password or b"").decode(errors="surrogateescape"))
