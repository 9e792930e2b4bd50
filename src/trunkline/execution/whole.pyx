"""The router of a database without shards whose reads are split: all goes to its servers, and who may answer is decided.

Rule: nothing is refused, and nothing waits. What is not understood is the primary's, and so is what is asked while the
schema is read again.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromString, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memchr

from trunkline.execution.explanation import IN_BLOCK, as_query, may_in_block
from trunkline.execution.reading import explained_by, only_reads
from trunkline.execution.router import PARAMETER
from trunkline.routing.planning.planner import plan as make_plan
from trunkline.routing.sql import MAX_BYTES

from trunkline.execution.router cimport ANYWHERE, EXPLAINED, Context, Router
from trunkline.execution.texts cimport has_high_byte, length
from trunkline.protocol.statement cimport Statement
from trunkline.routing.plans.plan_cache cimport Known


cdef class WholeRouter(Router):
    """Decides on 0, the one shard that there is; `readable` says the rest."""

    def __init__(self, str database):
        super().__init__(database)
        self.whole = True

    cdef int of_text(self, const unsigned char *text, Py_ssize_t n, Context context, object hint) except? -99:
        self._parsing = False
        return self._of(text, length(text, n), context)

    cdef int of_parse(self, const unsigned char *body, Py_ssize_t n, Context context, object hint) except? -99:
        if memchr(body, 0, n) == NULL:
            return ANYWHERE  # malformed, as the server will say
        self._parsing = True
        return self._of(body, length(body, n), context)

    cdef int of_bind(self, object statement, const unsigned char *bind, Py_ssize_t n, Context context,
                     object hint) except? -99:
        cdef bytes body
        cdef Known known
        if type(statement) is Statement and (<Statement>statement).route_context is context:
            known = (<Statement>statement).route
            self.known, self.reading, self.readable = known, known.note, known.readable
            self._body = (<Statement>statement).body
            self._text, self._size = <const unsigned char *>PyBytes_AS_STRING(self._body), -1
            return 0
        if statement is None:
            return ANYWHERE  # there is none, as the server will say
        body = self._body = (<Statement>statement).body if type(statement) is Statement else statement
        self._of(<const unsigned char *>PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body), context)
        if type(statement) is Statement and self.known is not None and self.known.fixed_count == 0:
            (<Statement>statement).route, (<Statement>statement).route_context = self.known, context
        return 0

    cdef bytes said_text(self):
        """Of the last decision."""
        if self._size < 0:
            return PyBytes_FromString(<const char *>self._text)
        return PyBytes_FromStringAndSize(<const char *>self._text, self._size)

    def _explain(self, bytes inner, Context context, hint):
        if explained_by(inner) is not None:
            return as_query(iter(("Route: answered by the proxy itself",)))
        if only_reads(inner):
            return as_query(iter(("Route: a replica", "  Reason: It begins a transaction that only reads.")))
        too_long = "It is above 64 kB, and not looked at."
        plan = make_plan(inner, self.catalog, self.sharding, context.path) if len(inner) <= MAX_BYTES else None
        why = too_long if plan is None else self._why_primary(plan, inner, context)
        said = [f"Route: {'the primary' if why else 'a replica'}", f"  Reason: {why or 'It only reads.'}"]
        if plan is not None and may_in_block(plan):
            said.append(IN_BLOCK)
        parameters = max(map(int, PARAMETER.findall(inner)), default=0)
        return as_query(iter(said), parameters if self._parsing else 0)

    cdef int _of(self, const unsigned char *text, Py_ssize_t n, Context context) except? -99:
        cdef Known known
        n = length(text, n)
        self._text, self._size = text, n
        if n > MAX_BYTES or (not context.utf8 and has_high_byte(text, n)):
            return 0
        self._literals.scan(text, n, context.standard)
        known = self.cache.find(self._literals, text, context.number)
        if known is None:
            self.refusal = None
            known = self._learn(PyBytes_FromStringAndSize(<const char *>text, n), context, None)
            if known is None:
                explained, self.refusal = self.refusal is None, None
                return EXPLAINED if explained else 0
        self.known, self.reading, self.readable = known, known.note, known.readable
        return 0
