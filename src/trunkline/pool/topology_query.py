"""The one question of a health check, and how its answer is read. Pure.

Everything in it may be asked by any role. Two facts need care (tried on PostgreSQL 15 and 18):

1. The timeline. A primary writes it into the name of its current WAL file; pg_control_checkpoint() would still have
   the old one after a promotion, until the next checkpoint. A replica keeps it where only its WAL receiver knows it at
   once, and that is shown to members of pg_read_all_stats alone. For others there is the control file, which learns of
   a new timeline at the next restartpoint: so what is read may be old, and is never too new.
2. The position. pg_current_wal_insert_lsn() points behind the header of a WAL page that has not begun yet, where no
   replica gets before something is written there. pg_current_wal_flush_lsn() is what replicas can have.
"""

from __future__ import annotations

from trunkline.errors import ServerLost
from trunkline.pool.probe import columns
from trunkline.pool.topology import Observation

# Nothing that its role or its database puts in front of pg_catalog is meant by these names.
PARAMETERS = ((b"application_name", b"trunkline health check"), (b"search_path", b"pg_catalog"))

QUERY = b"""
SELECT recovers, system_identifier, (date_part('epoch', pg_postmaster_start_time()) * 1000000)::int8,
  CASE WHEN recovers THEN NULL ELSE pg_walfile_name(pg_current_wal_insert_lsn()) END,
  timeline_id, min_recovery_end_timeline, pid, received_tli,
  CASE WHEN recovers THEN NULL ELSE pg_current_wal_flush_lsn() END,
  CASE WHEN recovers THEN pg_last_wal_receive_lsn() END,
  CASE WHEN recovers THEN pg_last_wal_replay_lsn() END,
  CASE WHEN recovers THEN date_part('epoch', clock_timestamp() - pg_last_xact_replay_timestamp()) END
FROM (SELECT pg_is_in_recovery() AS recovers OFFSET 0) AS one, pg_control_system(), pg_control_checkpoint(),
  pg_control_recovery(), pg_stat_get_wal_receiver()
"""
_COLUMNS = 12
_TIMELINE_DIGITS = 8  # at the beginning of a WAL file's name


def read(bodies: list[bytes], at: float) -> Observation:
    """The observation that the rows of the answer say; ServerLost if no PostgreSQL would answer so."""
    rows = [columns(body) for body in bodies]
    if len(rows) != 1 or len(rows[0]) != _COLUMNS:
        raise ServerLost("the server did not answer as a PostgreSQL does")
    try:
        return _read([value.decode() if value is not None else None for value in rows[0]], at)
    except (ValueError, TypeError):
        raise ServerLost("the server did not answer as a PostgreSQL does") from None


def _read(values: list[str | None], at: float) -> Observation:
    recovers, system, started, file, *timelines, pid, streamed, written, received, replayed, age = values
    in_recovery = recovers == "t"
    if in_recovery:
        timeline = max(int(value) for value in (*timelines, streamed) if value is not None)
    else:
        timeline = int(str(file)[:_TIMELINE_DIGITS], 16)
    return Observation(
        at=at,
        in_recovery=in_recovery,
        timeline=timeline,
        system=int(str(system)),
        started=int(str(started)),
        written=position(written),
        received=position(received),
        replayed=position(replayed),
        replay_age_s=float(age) if age is not None else None,
        receiver_is_hidden=in_recovery and pid is not None and streamed is None,
    )


def position(text: str | None) -> int | None:
    """A pg_lsn's text, as in 16/B374D848, as a number."""
    if text is None:
        return None
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def shown(position: int | None) -> str:
    """And back."""
    return "" if position is None else f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"
