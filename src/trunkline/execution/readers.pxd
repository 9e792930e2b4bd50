# Who answers reads: the C side of the contract in readers.pyx.
from libc.stdint cimport int64_t

from trunkline.pool.leases cimport Leases

cdef enum:
    MAX_REPLICAS = 64

cdef class ShardReaders:
    cdef object watch              # ReplicaWatch, or None
    cdef object topology           # as the rest below was made from
    cdef dict pools                # by the name of a server: a call that finds its pool
    cdef bint waits
    cdef list up                   # the pools of replicas that are up
    cdef int64_t replayed[MAX_REPLICAS]
    cdef int learn(self, topology) except -1
    cdef Leases choose(self, int64_t position)

cdef class Readers:
    cdef object _pools
    cdef object _watches
    cdef object _config            # as the shards were made from
    cdef str _database
    cdef str _user
    cdef list _shards
    cdef ShardReaders of(self, int shard)
    cdef Leases choice(self, int shard, int64_t position)
