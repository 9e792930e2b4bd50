"""Leases: the compiled part of a pool, what happens once a query.

A server connection is in exactly one place: idle, active (leased), tested (a query of ours runs), logging in, being
canceled (its lease is over, a cancel request is not), draining (its client left in the middle). A lessee is in `clients`
or, in line, in `waiting`. Here is only what needs no decision: give an idle server, hand a free one to the next in line.
Everything else (open, wait, refuse, close, check) is asked of the Python subclass, `pool.pool.Pool`, and its policy.
"""

import logging

from trunkline.errors import InternalError

from trunkline.failpoints cimport failpoint
from trunkline.net.place cimport Place
from trunkline.pool.server cimport Lessee, Owner, ServerLink
from trunkline.routing.text.lexer cimport Vocabulary

log = logging.getLogger("trunkline.pool")


cdef class Leases(Owner):
    """The places of one pool and the two moves between them that every query makes."""

    def __init__(self):
        self.idle = Place("idle")
        self.active = Place("active")
        self.tested = Place("tested")
        self.logging_in = Place("login")
        self.canceled = Place("being_canceled")
        self.draining = Place("draining")
        self.clients = Place("clients")
        self.waiting = Place("waiting")
        self.newest_first = True
        self.check_delay = -1

    # --- decisions that the subclass makes ------------------------------------------------------------------------

    def on_waiting(self):
        """A lessee has joined the line."""
        raise NotImplementedError

    def release(self, ServerLink server):
        """A free server whose lease may end only with care: closing, canceled, to be reset, its client gone."""
        raise NotImplementedError

    def examine(self, ServerLink server):
        """A free server whose lessee may have left something in its session."""
        raise NotImplementedError

    def locate(self, ServerLink server):
        """A free server whose lessee has to know up to where it has written."""
        raise NotImplementedError

    def check(self, ServerLink server):
        """An idle server that has not been used for check_delay."""
        raise NotImplementedError

    def prepare(self, ServerLink server, Lessee lessee):
        """A leased server needs a round trip for the lessee's parameters."""
        raise NotImplementedError

    # --- the common path ------------------------------------------------------------------------------------------

    cdef ServerLink lease(self, Lessee lessee):
        """The server that `lessee` has from now on, or None: then it waits, blocked, until granted or refused."""
        cdef ServerLink server = None
        if self.waiting.count == 0 and not self.paused:
            server = self.idle.last if self.newest_first else self.idle.first
        if server is not None and 0 <= self.check_delay < server.engine.now - server.idle_since:
            self.check(server)
            server = None
        if server is None:
            self.wait(lessee)
            return None
        self.give(server, lessee)
        if not server.matches(lessee.params) and server.apply(lessee.params):
            lessee.blocked = True
            self.prepare(server, lessee)
            return None
        return server

    cdef int give(self, ServerLink server, Lessee lessee) except -1:
        server.lease_to(lessee)  # first: a server in the place of leased ones has a lessee that hears of its loss
        failpoint(b"lease_given")
        return server.move(self.active)

    cpdef wait(self, Lessee lessee, bint first=False):
        """Put a lessee in line; at its head if a server it had was of no use."""
        lessee.blocked = True
        if lessee.waiting_since == 0:
            lessee.waiting_since = lessee.engine.now
        if lessee.place is not None:
            lessee.place.remove(lessee)
        if first:
            self.waiting.add_first(lessee)
        else:
            self.waiting.add(lessee)
        failpoint(b"lined_up")
        if not self.full:
            self.on_waiting()

    cdef int on_free(self, ServerLink server) except -1:
        cdef Lessee lessee = server.lessee
        failpoint(b"release_enter")
        if server.left or server.kept is not None:
            return 0  # half a message is here: whoever got its beginning gets its end, and then this is asked again
        if server.schema_changed:
            server.schema_changed = False
            self.on_schema_change()
        if lessee.listening is not None:
            lessee.listening.unit_over()
        if server.position_due and not lessee.eof and not lessee.left:
            self.locate(server)  # before anything that lets the lessee go on
            return 0
        if server.doubt and self.exact and not lessee.eof and not lessee.left:
            self.examine(server)
            return 0
        if lessee.left or (lessee.sticky and not lessee.eof and not (server.close_needed and self.fast_close)):
            return 0  # a frame that is half forwarded belongs to this server to its end
        if server.close_needed or server.cancels or lessee.eof or server.unsent is not None or server.doubt \
                or self.paused or self.reset_always or server.place is not self.active:
            self.release(server)
            return 0
        server.unlease()
        failpoint(b"release_proved")
        if self.waiting.first is not None:
            return self.hand_over(server, <Lessee>self.waiting.first)
        server.move(self.idle)
        return 0

    cdef int hand_over(self, ServerLink server, Lessee lessee) except -1:
        """Give a free server to the lessee at the head of the line; an error on the way ends both, and nobody else."""
        try:
            return self._hand_over(server, lessee)
        except Exception as error:  # whoever gave the server back is not to blame
            log.exception("internal error at %r", server)
            return server.on_failure(error)

    cdef int _hand_over(self, ServerLink server, Lessee lessee) except -1:
        self.give(server, lessee)
        failpoint(b"hand_over")
        lessee.move(self.clients)
        self.wait_times.record(lessee.engine.now - lessee.waiting_since)
        lessee.waiting_since = 0
        if not server.matches(lessee.params) and server.apply(lessee.params):
            self.prepare(server, lessee)
            return 0
        lessee.blocked = False
        lessee.granted()
        return 0

    # --- for Python callers -----------------------------------------------------------------------------------------

    def configure(self, *, bint tracks, bint exact, bint one_statement, Py_ssize_t max_prepared, bint newest_first,
                  double check_delay, bint reset_always, bint fast_close):
        """What the settings mean for the common path."""
        self.exact = exact
        self.tracks, self.one_statement, self.max_prepared = tracks, one_statement, max_prepared
        self.newest_first, self.check_delay, self.reset_always = newest_first, check_delay, reset_always
        self.fast_close = fast_close

    def request(self, Lessee lessee):
        """`lease` for Python callers: the server, or None while the lessee waits."""
        return self.lease(lessee)

    def settle(self, ServerLink server):
        """A logged-in server that nobody leases: to the next in line, or to rest."""
        if self.waiting.first is not None and not self.paused:
            self.hand_over(server, <Lessee>self.waiting.first)
        else:
            server.move(self.idle)

    def unlease(self, ServerLink server):
        """End the lease without deciding where the server goes."""
        server.unlease()

    def place_server(self, ServerLink server, Place place):
        """The only way for Python callers to move a server."""
        server.move(place)

    def place_client(self, Lessee lessee, Place place):
        lessee.move(place)

    def look_for(self, Vocabulary words):
        """The words at which a glance at a statement stops."""
        self.words = words

    def free(self, ServerLink server):
        """What was in doubt has been settled: the lease may end after all."""
        self.on_free(server)

    def hold(self, Lessee lessee):
        """Keep what the lessee says until it is granted."""
        lessee.blocked = True

    def pin(self, Lessee lessee, int reasons):
        """Keep the lessee at its server for these reasons (State); 0 lets it go again."""
        lessee.pins = reasons
        lessee.sticky = reasons != 0 or not self.tracks

    def grant(self, Lessee lessee):
        """The round trip for its parameters is over."""
        lessee.blocked = False
        lessee.granted()

    def stop_waiting(self, Lessee lessee):
        """Take a lessee out of the line, back among the clients."""
        lessee.waiting_since = 0
        lessee.blocked = False
        lessee.move(self.clients)

    def refuse(self, Lessee lessee, error):
        """Take a lessee out of the line and tell it why; one that cannot be told is ended, and the others go on."""
        self.stop_waiting(lessee)
        try:
            failpoint(b"waiter_refused")
            lessee.refused(error)
        except Exception:
            log.exception("internal error at %r", lessee)
            lessee.server_lost(None, InternalError.incident(), False)
