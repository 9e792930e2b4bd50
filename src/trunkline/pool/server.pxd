# A server connection, who leases it and who owns it: the C side of the contract in server.pyx.
from trunkline.net.link cimport Link
from trunkline.pool.histogram cimport Histogram
from trunkline.protocol.scanner cimport Frame
from trunkline.protocol.server_session cimport ServerSession
from trunkline.routing.plans.plan_cache cimport Known
from trunkline.routing.text.lexer cimport Vocabulary

cdef enum Before:         # what has to be done before a statement may be parsed; bits
    WAIT_FIRST = 1        # the lessee is blocked, and asks again
    NAMES_FIRST = 2       # the server must know statements by the lessee's own names
    MEANING_FIRST = 4     # the server must have parsed them all, before they would mean something else

cdef class Lessee(Link):
    cdef readonly ServerLink server       # leased, or None
    cdef public object params             # Params that this session must see; None: whatever is there
    cdef public object before_block       # its params before a change that may yet be rolled back; None: no such change
    cdef readonly dict names              # its own statement names -> Statement; None until the first
    cdef public bytes unnamed             # its last unnamed Parse, whole; None when there is none
    cdef readonly double waiting_since    # 0 when not waiting
    cdef public object start              # Params with which its session began, and to which RESET goes back
    cdef readonly bint sticky             # keeps its server: session pooling, or pinned
    cdef public int pins                  # why it is pinned (routing.session.session_effects.State); 0: it is not
    cdef public bint told_pinned          # it has had its NOTICE
    cdef public double pinned_at
    cdef public bint names_are_its_own    # the server knows its statements by the names it gave them
    cdef int unnamed_sight, bound_sight   # of the unnamed statement, and of the one that was bound last
    cdef object unnamed_effects
    cdef public object listening          # Subscriber: what it listens to by way of a shared connection, or None
    cdef public dict restoring            # by name: what its startup packet set and is reset in the unit under way, or None
    cdef bint passing                     # the rest of its streamed frame goes to the server
    cdef object assembly                  # a Parse that is remembered while it streams by, or None
    cdef public Py_ssize_t copy_syncs   # Syncs of its that came inside COPY FROM STDIN and were held back
    cdef bint awaits_answers              # what it said next can be dealt with only when no answer is owed to it
    cdef bint twice_named                 # two of its names have meant one statement
    cdef bint defines_own                 # what it asked for last, and alone, makes a table for its own session only
    cdef bint ends_names                  # it has sent a DEALLOCATE or DISCARD that has not been seen to run
    cpdef granted(self)
    cpdef refused(self, error)
    cpdef bint asks_position(self)
    cpdef wrote_up_to(self, position)
    cpdef bint outlives(self)
    cpdef bint asks_again(self, ServerLink server, bytes said)
    cpdef ask_again(self, ServerLink server)
    cpdef server_lost(self, ServerLink server, error, bint goes_on)

cdef class Owner:
    cdef public str database
    cdef public str family                # the database that it is a shard of, or itself: what they have in common
    cdef readonly bint tracks             # statements and parameters follow clients from server to server
    cdef readonly bint one_statement      # statement pooling
    cdef readonly Py_ssize_t max_prepared
    cdef readonly Vocabulary words        # that a glance at a statement stops at
    cdef readonly bint exact              # what a session holds follows its client, or keeps it at its server
    cdef public unsigned long long xact_count, query_count, bytes_received, bytes_sent
    cdef public unsigned long long client_parse_count, server_parse_count, bind_count, assignment_count, login_count
    cdef public unsigned long long repeated   # requests that were asked again elsewhere
    cdef readonly Histogram xact_times, query_times, wait_times
    cdef int schemas_prepared             # so many transactions with DDL are: whatever is committed may be one of them
    cdef int on_free(self, ServerLink server) except -1
    cpdef int before_doubtful(self, Lessee lessee, bytes text, bint ambiguous) except -1
    cpdef int on_doubtful(self, Lessee lessee, bytes text, bint ambiguous, bytes bound) except -1
    cpdef on_lost(self, ServerLink server, str reason)
    cpdef on_block(self, ServerLink server)
    cpdef on_schema_change(self)

cdef class ServerLink(Link):
    cdef readonly ServerSession session
    cdef readonly Lessee lessee
    cdef readonly Owner owner
    cdef public object params             # Params in force on this connection
    cdef long long names_change, unnamed_change   # the unit in which what it knows of statements last changed
    cdef readonly object prepared         # OrderedDict of Statement, least recently used first
    cdef public bytes unnamed             # the Parse whose unnamed statement it holds
    cdef public object setup              # called with the error fields or None when our own query is over
    cdef readonly dict setup_error
    cdef readonly list answer             # rows of a query of our own, if they are wanted
    cdef public int doubt                 # what may have been left in this session (State) by its lessee
    cdef list restored                    # (unit, names) of our queries that set back what units before them reset, or None
    cdef bint batch_cut                   # by a simple query: until Sync, its implicit transaction stays open
    cdef unsigned char *unit_at           # where the answer under way begins in the chunk that is being consumed
    cdef readonly bint begun              # the lessee has been given some of it
    cdef public bytes held                # of that answer, before its first row, and not given yet; or None
    cdef bint dropping                    # the rest of the streamed frame is nobody's
    cdef readonly bint said_fatal         # its own FATAL went to the client
    cdef readonly dict last_words         # the fields of what it said before it closed, or None
    cdef readonly unsigned long long words_unit   # in which unit, if it went on living
    cdef readonly bint ended_asked        # it ended by itself while it owed an answer
    cdef readonly bint torn               # it was lost inside a frame whose beginning the lessee has
    cdef readonly bint in_setup           # it was lost while a query of our own ran
    cdef public object drain              # the Drain that takes care of it since its client has left, or None
    cdef bint schema_changed              # DDL has run in the transaction under way
    cdef bint schema_prepared             # the transaction that it has prepared last has DDL, and is not decided
    cdef public bint close_needed
    cdef public bint single_use           # opened with the startup settings of one client, and closed with it
    cdef public int cancels               # cancel requests not known to be over
    cdef public unsigned long long cancel_unit    # what the last of them is for, as `units_done` was then
    cdef public object stopping           # the Task that delivers the last of them, or None
    cdef public int pid
    cdef public bytes cancel_key
    cdef public object address            # of the server, for the log
    cdef public bint position_due         # its lessee may have written, and wants to know up to where
    cdef readonly unsigned long long units_done   # ReadyForQuery messages seen: names the query under way
    cdef unsigned long long commit_unit   # the last that may have committed, by the number of its ReadyForQuery
    cdef readonly double idle_since, request_at
    cdef public Known timed               # of a database with shards: whose time the unit under way is, or None
    cdef readonly double begun_at         # when the lease began; of a sticky lessee, its transaction
    cdef public double opened_at

    cdef int lease_to(self, Lessee lessee) except -1
    cdef int unlease(self) except -1
    cdef int apply(self, object params) except -1
    cdef int _judge(self, Frame *frame, unsigned char **run) except -1
    cdef int _after_chunk(self, bint boundary) except -1
    cdef int _let_go_on(self, Lessee lessee) except -1
    cdef int _after_frame(self, unsigned char *end, unsigned char **run) except -1
    cdef int _break_off(self, str reason) except -1
    cdef int give_run(self, unsigned char *end, unsigned char **run) except -1

    cdef inline bint matches(self, object params) noexcept:
        return self.params is params or params is None or not self.owner.tracks
