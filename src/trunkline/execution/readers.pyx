"""Which replica answers a read: one that is up, has replayed what its client wrote, and has the least to do.

A choice is made for each read, so what it needs of a topology is put into form once for each that there is.
"""

from functools import partial

from trunkline.config.parts import servers_of

from trunkline.pool.leases cimport Leases


cdef class ShardReaders:
    """The replicas of one shard: `pools` are where to find them, by the names that the topology has for servers."""

    def __init__(self, watch, dict pools, bint waits):
        self.watch, self.pools, self.waits = watch, pools, waits
        self.up = []

    cdef int learn(self, topology) except -1:
        self.topology = topology
        self.up = []
        for member in topology.replicas:
            found = self.pools.get(member.name)
            if found is not None and member.last is not None and len(self.up) < MAX_REPLICAS:
                self.replayed[len(self.up)] = member.last.replayed or 0
                self.up.append(found())
        return 0

    cdef Leases choose(self, int64_t position):
        cdef Leases pool, best = None
        cdef Py_ssize_t i, load, least = 0
        if self.watch is None:
            return None
        topology = self.watch.topology
        if topology is not self.topology:
            self.learn(topology)
        for i in range(len(self.up)):
            pool = <Leases>self.up[i]
            if pool.paused or (self.waits and self.replayed[i] < position):
                continue
            if pool.trouble is not None and pool.trouble.retry_at > pool.pools.now:
                continue
            load = pool.active.count + pool.waiting.count
            if best is None or load < least or (load == least and pool.assignment_count < best.assignment_count):
                best, least = pool, load
        return best


cdef class Readers:
    """The replicas of one user's database, by the numbers of its shards."""

    def __init__(self, pools, watches, str database, str user):
        self._pools, self._watches, self._database, self._user = pools, watches, database, user
        self._shards = []

    cdef Leases choice(self, int shard, int64_t position):
        """The pool to lease from; None if there is no replica that has replayed up to there and can be had."""
        cdef ShardReaders found = self.of(shard)
        return found.choose(position) if found is not None else None

    def choose(self, int shard, position):
        """`choice` for Python callers; a client that has written nothing has no position."""
        return self.choice(shard, position or 0)

    @property
    def waits(self):
        """Whether reads wait for what their client has written."""
        settings = self._pools.config.databases.get(self._database)
        return settings is not None and settings.read_after_write == "lsn"

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
        for shard in self._config.shards_of(self._database):
            named = zip(shard.servers, servers_of(shard))
            pools = {str(address): partial(self._pools.pool, part.name, self._user) for address, part in named}
            name = shard.name.removeprefix(self._database).removeprefix("/")
            self._shards.append(ShardReaders(self._watches.of(self._database, name), pools, shard.read_after_write == "lsn"))
