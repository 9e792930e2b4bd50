"""A client's RESET goes back to what its startup packet said, though its server began otherwise.

Behind the request that resets, a query of ours gives the session the startup packet's values again: those that are
still reset, for a SET may stand behind the RESET in the same text or batch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from trunkline.protocol.params import Params, encoded, quote

EVERY = b"*"


def values_to_restore(base: Params | None, start: Params | None, resets: Collection[bytes]) -> dict[bytes, bytes]:
    """By name, what the startup packet set of the settings that are reset (lower case, or `EVERY`).

    ``base``: what a server begins with; ``start``: what it was to begin with for this client.
    """
    if base is None or start is None or start is base:
        return {}
    chosen = base.difference(start).assign
    return {name: value for name, value in chosen if EVERY in resets or name.lower() in resets}


def restoring_query(values: Mapping[bytes, bytes], encoding: bytes) -> bytes:
    """SQL that sets what is still reset, by `pg_settings.source`; a name with a dot has none, and is empty then."""
    calls = (
        b"CASE WHEN %b THEN pg_catalog.set_config(%b, %b, false) END"
        % (_is_reset(name), quote(name), encoded(value, encoding))
        for name, value in values.items()
    )
    return b"SELECT " + b", ".join(calls)


def _is_reset(name: bytes) -> bytes:
    if name == b"role":
        return b"pg_catalog.current_setting('role') OPERATOR(pg_catalog.=) 'none'"
    if b"." in name:
        return b"COALESCE(pg_catalog.current_setting(%b, true), '') OPERATOR(pg_catalog.=) ''" % quote(name)
    source = b"(SELECT source FROM pg_catalog.pg_settings WHERE name OPERATOR(pg_catalog.=) %b)" % quote(name)
    return b"COALESCE(%b, '') OPERATOR(pg_catalog.<>) 'session'" % source
