# A client of a database with shards: the C side of the contract in routed.pyx.
from trunkline.pool.leases cimport Leases
from trunkline.execution.readers cimport Readers
from trunkline.execution.router cimport Context, Outcome, Router
from trunkline.protocol.scanner cimport Frame
from trunkline.proxy.client cimport ClientLink
from trunkline.routing.plans.plan_cache cimport Known

cdef enum:            # what routing answers beside what a step does (steps.pxd)
    GO = 3            # the step may be taken: the client has the right server, or leases from the right pool
    INSTEAD = 4       # the same, with `Route.instead` in the place of the frame

cdef class Route:
    cdef readonly Router router
    cdef object find_pools
    cdef readonly list pools       # of the client's user, by the number of the shard
    cdef readonly int shard        # that it leases from, or leased from last
    cdef readonly list held        # texts of a transaction block that no server knows of yet; None: there is none
    cdef object several            # who goes on where a statement concerns several shards (several.Several), or None
    cdef public object ids         # what its currval() and lastval() are (spread.ids.Ids); None without shards
    cdef list beginning            # what the block at its server began with, as others would have to be told; or None
    cdef readonly list history     # texts to begin the block anew elsewhere; None: it cannot be begun anew
    cdef readonly bytes instead
    cdef bytes unnamed_instead     # the unnamed Parse that comes with it, if it is a Bind; or None
    cdef Known known               # of the frame that is being routed, or None; and what was decided
    cdef Outcome outcome
    cdef int generation            # of the router, as `pools` and all below were made by
    cdef object params             # of the client, as the next two were made from
    cdef readonly Context context
    cdef readonly object hint      # the shard that its settings say, or None, or an error
    cdef readonly Readers readers           # who chooses a replica (execution.readers.Readers); None: reads go to the primary
    cdef bint serializable         # which replicas cannot be
    cdef bint reads_by_default     # its transactions are READ ONLY unless they say otherwise
    cdef bint only_reads           # so is the block that is held, or that it is in
    cdef bint in_reads             # which is at a replica
    cdef bint block_ends           # and is over when what has been sent of it is answered
    cdef bint on_replica           # its lease is, or was last, of a replica's pool
    cdef bint frame_readable       # a replica may answer the frame that is being routed
    cdef Leases shunned            # the replica that could not be had for the request, or None
    cdef readonly bint waited               # for a replica that has replayed what it wrote
    cdef const unsigned char *read_end      # where the request ends that was found to be a read last
    cdef dict bodies               # of the statements that it defines, by name, or None
    cdef list asked                # the requests in flight at a replica, one for each ReadyForQuery (repeats.pyx)
    cdef Py_ssize_t asked_bytes
    cdef long long asked_unit      # of the first of them, as the server counts; -1: they cannot be repeated
    cdef int answered              # messages at its beginning that were answered at once
    cdef list names_before         # (unit, name, what it meant before) of the names that they give, or None
    cdef bytes said                # what the server has said by which they are repeated; None: nothing, it is gone
    cdef int spent                 # requests to come that have been asked before
    cdef bint barred               # the first of them is one that a standby does not answer
    cdef bint writes               # as it writes (25006)
    cdef bint repeating            # they are about to be consumed
    cdef bint is_serializable_by_default    # as a replica has said
    cdef dict positions            # by shard: the position behind its last write (-1: not known), or None
    cdef dict until                # by shard: when a replica may answer again, in seconds of the engine; or None
    cdef list planned              # what has been planned apart of the batch that it is in (Apart); or None
    cdef readonly object awaited   # what is being planned for it now: an Apart, or None
    cdef readonly dict cursors       # WITH HOLD over several shards, by name
    cdef bint configured           # the implicit transaction of its batch has a setting of which nobody else knows
    cdef dict local                # settings of trunkline's own that its transaction has changed, or None

cdef int move_to(ClientLink client, Leases pool) except -1
cdef int choose(ClientLink client, Route own, Frame *frame, const unsigned char *end) except -1
cdef int decide(ClientLink client, Route own, Frame *frame, dict bodies) except? -99
cdef int go(ClientLink client, Route own, Frame *frame, int decision) except -1
cdef int end_batch(Route own) except -1
cdef int note_sent(ClientLink client, Frame *frame, int taken) except -1
cdef int route(ClientLink client, Frame *frame, const unsigned char *end) except -1
