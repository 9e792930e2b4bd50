"""Which replica answers a read: one that is up, has replayed what its client wrote, and whose turn it is.

Theory of operation. Of those that will do, the best rank is looked at: the proxy's own zone before others, weight 0 last.
Among these each read makes its replica's next turn come later by 1 / weight (start-time fair queueing), so that turns are
spread by the weights at any load. With `least`, a replica is passed over if it has clearly more in flight for its weight
than another would have with one read more. Rules:

1. Nobody is flooded: who was down begins at the turn of the others, and who could not be asked not long before it.
2. A choice is made for each read, so what it needs of a topology is put into form once for each that there is.
3. All clients of a user share one `Readers`, or none of them would know whose turn it is.
"""

import random
from functools import partial

from libc.math cimport INFINITY

from trunkline.config.parts import servers_of
from trunkline.config.replica_kinds import sticky_time_s
from trunkline.execution.no_replica import none_will_do
from trunkline.pool.topology_lag import is_beyond

from trunkline.pool.leases cimport Leases

cdef double MISSED = 50.0     # reads that a replica may be behind its turn, and makes up for
cdef double ALIKE = 1.25      # loads within this ratio: what is fast for a moment must not outweigh the weights
cdef dict BALANCES = {"least": LEAST, "round-robin": IN_TURN, "random": AT_RANDOM}


cdef class Reader:
    def __init__(self, address, bint near, find_pool):
        self.weight = address.weight or 1
        self.spare = address.weight == 0
        self.near = near
        self.find_pool = find_pool


cdef class ShardReaders:
    """The servers of one shard; `find_pool` gives the pool of a part."""

    def __init__(self, watch, settings, str zone, find_pool):
        self.watch, self.settings = watch, settings
        self.balance = BALANCES[settings.balance]
        self.seed = random.getrandbits(64) | 1
        self.zoned = bool(zone) and any(one.zone == zone for one in settings.replicas)
        self.up, self.readers = [], {}
        for one, part in zip((*settings.addresses, *settings.replicas), servers_of(settings)):
            near = not self.zoned or one.zone == zone
            self.readers[str(one)] = Reader(one, near, partial(find_pool, part.name))

    cdef int learn(self, topology) except -1:
        """Who is up now, and not too far behind, by what was last heard of them."""
        cdef Reader one
        cdef list before = self.up
        self.topology, self.up = topology, []
        for member in topology.replicas:
            one = self.readers.get(member.name)
            if one is None or member.name in self.settings.unread:
                continue
            if is_beyond(self.watch.lag(member.name), self.settings.max_replica_lag):
                continue
            one.replayed = member.last.replayed or 0
            if one.pool is None:
                one.pool = one.find_pool()
            if one not in before:
                one.due = max(one.due, self.turn)
            self.up.append(one)
        return 0

    cdef Leases choose(self, int64_t position, Leases shunned):
        """The pool to lease from, another than that which is shunned; or None."""
        cdef double bound
        cdef Rank rank = self.best_rank(position, shunned, &bound)
        cdef Reader one
        if rank == NOBODY:
            return None
        one = self.any_one(rank) if self.balance == AT_RANDOM else self.next_one(rank, bound)
        return one.pool

    cdef Rank best_rank(self, int64_t position, Leases shunned, double *bound) except? NOBODY:
        """Of those that will do for the read; `bound` is what they have in flight for their weight at least, with one more."""
        cdef Rank best = NOBODY
        cdef Reader one
        cdef Py_ssize_t i
        cdef double load
        if self.watch is None:
            return NOBODY
        topology = self.watch.topology
        if topology is not self.topology:
            self.learn(topology)
        for i in range(len(self.up)):
            one = <Reader>self.up[i]
            one.rank = NOBODY if one.pool is shunned else self.rank_of(one, position)
            if one.rank > best or one.rank == NOBODY:
                continue
            load = (one.pool.active.count + one.pool.waiting.count) / one.weight
            one.load = load
            load += 1 / one.weight
            if one.rank < best or load < bound[0]:
                best, bound[0] = one.rank, load
        return best

    cdef inline Rank rank_of(self, Reader one, int64_t position) except? NOBODY:
        cdef Leases pool = one.pool
        cdef bint taken
        if pool.paused or pool.shut or one.replayed < position:
            return NOBODY
        if pool.trouble is not None and pool.trouble.retry_at > pool.pools.now:
            return NOBODY
        if one.spare:
            return SPARE
        if not self.zoned:
            return NEAR
        taken = pool.idle.count == 0 and (pool.full or 0 < pool.size <= pool.active.count)
        if one.near:
            return NEAR_TAKEN if taken else NEAR
        return FAR_TAKEN if taken else FAR

    cdef Reader next_one(self, Rank rank, double bound):
        """Whose turn it is; each turn is the later the less its weight."""
        cdef Reader one, best = None
        cdef Py_ssize_t i
        cdef double due, least = INFINITY
        for i in range(len(self.up)):
            one = <Reader>self.up[i]
            if one.rank != rank or (self.balance == LEAST and one.load >= bound * ALIKE):
                continue
            due = max(one.due, self.turn - MISSED / one.weight)
            if due < least:
                best, least = one, due
        best.due = least + 1 / best.weight
        self.turn = max(self.turn, least)
        return best

    cdef Reader any_one(self, Rank rank):
        """One at random, each as likely as its weight says."""
        cdef Reader one, found = None
        cdef Py_ssize_t i
        cdef double left = 0
        for i in range(len(self.up)):
            one = <Reader>self.up[i]
            left += one.weight if one.rank == rank else 0
        left *= self.random()
        for i in range(len(self.up)):
            one = <Reader>self.up[i]
            if one.rank != rank:
                continue
            found = one
            left -= one.weight
            if left < 0:
                break
        return found

    cdef double random(self) noexcept:
        """From 0 up to 1 (xorshift64)."""
        self.seed ^= self.seed << 13
        self.seed ^= self.seed >> 7
        self.seed ^= self.seed << 17
        return (self.seed >> 11) / 9007199254740992.0  # 2 ** 53


cdef class Readers:
    """The replicas of one user's database, by the numbers of its shards."""

    def __init__(self, pools, watches, str database, str user):
        self._pools, self._watches, self._database, self._user = pools, watches, database, user
        self._shards = []

    cdef Leases choice(self, int shard, int64_t position, Leases shunned):
        """The pool to lease from; None if there is no replica that has replayed up to there and can be had."""
        cdef ShardReaders found = self.of(shard)
        return found.choose(position, shunned) if found is not None else None

    cdef bint any(self, int shard) except -1:
        """Whether there is a replica that can be had, whatever it has replayed."""
        cdef ShardReaders found = self.of(shard)
        cdef double bound
        return found is not None and found.best_rank(0, None, &bound) != NOBODY

    cdef object refusal(self, int shard):
        """What a read hears for which there is not any; None if the primary answers."""
        cdef ShardReaders found = self.of(shard)
        if found is None or found.settings.replica_fallback != "error":
            return None
        return none_will_do(found.watch, found.settings, {name: (<Reader>one).pool for name, one in found.readers.items()})

    def choose(self, int shard, position):
        """`choice` for Python callers; a client that has written nothing has no position."""
        return self.choice(shard, position or 0, None)

    def why_none(self, int shard):
        """`refusal` for Python callers."""
        return self.refusal(shard)

    @property
    def waits(self):
        """Whether what a client writes makes a difference to its reads."""
        settings = self._pools.config.databases.get(self._database)
        return settings is not None and settings.read_after_write != "off"

    @property
    def sticky_s(self):
        """For how long the primary answers behind a write; 0: until a replica has replayed it."""
        settings = self._pools.config.databases.get(self._database)
        return sticky_time_s(settings.read_after_write) if settings is not None else 0.0

    def wait(self, int shard, int64_t position, done):
        """Call `done` once a replica has replayed up to there, or after read_after_write_wait."""
        cdef ShardReaders found = self.of(shard)
        if found is None or found.watch is None:
            self._pools.soon(done)
            return
        limit_s = self._pools.config.settings.read_after_write_wait
        waiting = self._pools.tasks.spawn(found.watch.until_replayed(position, limit_s), "read after write")
        waiting.add_done_callback(lambda _: done())

    cdef ShardReaders of(self, int shard):
        """Of this shard, by the configuration that holds now; None if there is no such shard any more."""
        if self._pools.config is not self._config:
            self._read()
        return <ShardReaders>self._shards[shard] if shard < len(self._shards) else None

    def _read(self):
        self._config, self._shards = self._pools.config, []
        zone = self._config.settings.zone
        for shard in self._config.shards_of(self._database):
            name = shard.name.removeprefix(self._database).removeprefix("/")
            watch = self._watches.of(self._database, name)
            self._shards.append(ShardReaders(watch, shard, zone, partial(self._pools.pool, user=self._user)))
