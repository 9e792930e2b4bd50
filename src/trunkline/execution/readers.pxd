# Who answers reads: the C side of the contract in readers.pyx.
from libc.stdint cimport int64_t, uint64_t

from trunkline.pool.leases cimport Leases

cdef enum Rank:           # of who could answer, the lowest first
    NEAR, FAR             # of the proxy's zone, or of another one; without zones all are near
    NEAR_TAKEN, FAR_TAKEN # all of its servers are in use
    SPARE                 # of weight 0
    NOBODY                # it will not do

cdef enum Balance:
    LEAST, IN_TURN, AT_RANDOM

cdef class Reader:
    """One server, which answers reads while it is a replica."""
    cdef double weight
    cdef bint spare, near          # of weight 0; of the proxy's zone, or there are none
    cdef object find_pool
    cdef Leases pool               # None until it has been up
    cdef int64_t replayed
    cdef double due                # its next turn
    cdef Rank rank                 # of these two for the read that is being decided
    cdef double load               # in flight for its weight

cdef class ShardReaders:
    cdef object watch              # ReplicaWatch, or None
    cdef object topology           # as `up` was made from
    cdef object settings           # of the shard
    cdef dict readers              # by the name of a server
    cdef list up                   # those that are up, and not too far behind
    cdef bint zoned
    cdef Balance balance
    cdef double turn               # the last that came
    cdef uint64_t seed
    cdef int learn(self, topology) except -1
    cdef Leases choose(self, int64_t position, Leases shunned)
    cdef Rank best_rank(self, int64_t position, Leases shunned, double *bound) except? NOBODY
    cdef Rank rank_of(self, Reader one, int64_t position) except? NOBODY
    cdef Reader next_one(self, Rank rank, double bound)
    cdef Reader any_one(self, Rank rank)
    cdef double random(self) noexcept

cdef class Readers:
    cdef object _pools
    cdef object _watches
    cdef object _config            # as the shards were made from
    cdef str _database
    cdef str _user
    cdef list _shards
    cdef ShardReaders of(self, int shard)
    cdef Leases choice(self, int shard, int64_t position, Leases shunned)
    cdef bint any(self, int shard) except -1
    cdef object refusal(self, int shard)
