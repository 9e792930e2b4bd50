"""What a cancel key says among peers: whose client it is for, and how often the request may still be passed on.

The layout is PgBouncer's, so that a request finds its way through a fleet of both. Of the eight bytes that a client of
protocol 3.0 is told, the process id before the key, the second and the third are the number of the peer, the lower byte
first; the two lowest bits of the last one are the number of hops, which ends a request that would go round in circles.
"""

from __future__ import annotations

from typing import Final

HOPS: Final = 3
KEY_BYTES: Final = 4  # of all clients, whatever their protocol: the peers of a mixed fleet take no longer keys


def marked(pid: int, peer: int) -> int:
    """A process id that names the peer; seven bits at its beginning and eight at its end are left."""
    return pid & 0x7F0000FF | (peer & 0xFF) << 16 | peer >> 8 << 8


def peer_of(pid: int) -> int:
    """Whom a process id names, if it was marked."""
    return pid >> 16 & 0xFF | pid & 0xFF00


def hops_of(key: bytes) -> int:
    """How often a request with this key may still be passed on."""
    return key[-1] & HOPS if key else 0


def with_hops(key: bytes, hops: int) -> bytes:
    return key[:-1] + bytes((key[-1] & ~HOPS | hops,)) if key else key
