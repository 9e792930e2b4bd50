"""What servers are asked about a transaction that they are in."""

from __future__ import annotations

from typing import Final

ISOLATION: Final = b"SHOW transaction_isolation"
SHUT: Final = (  # whether it keeps everybody else out of one of these tables, or of what belongs to it
    b"WITH named AS (SELECT ARRAY[%b]::oid[] AS oids)"
    b" SELECT 1 FROM pg_catalog.pg_locks, named WHERE pid = pg_catalog.pg_backend_pid() AND locktype = 'relation'"
    b" AND mode = 'AccessExclusiveLock' AND (relation = ANY (oids)"
    b" OR EXISTS (SELECT FROM pg_catalog.pg_index WHERE indexrelid = relation AND indrelid = ANY (oids))"
    b" OR EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhrelid = relation)) LIMIT 1"
)
WROTE: Final = b"SELECT pg_catalog.txid_current_if_assigned()"
