# Where the statements of one database go: the C side of the contract in router.pyx.
from trunkline.routing.plans.call cimport Call
from trunkline.routing.text.fingerprint cimport Fingerprint
from trunkline.routing.plans.plan_cache cimport Known, PlanCache

cdef enum:               # instead of the number of a shard
    ANYWHERE = -1        # no shard is better than another
    REFUSED = -2         # `refusal` says why
    SESSION = -3         # a statement of the session's: BEGIN, SET and the like
    EXPLAINED = -4       # EXPLAIN (ROUTE): `instead` is to be run in its place
    APART = -5           # `wanted` is to be planned first, which takes its time

cdef enum Outcome:       # what became of a statement; the names are in router.pyx
    BY_KEY, TO_HOME, TO_ANY, IN_SESSION, AS_SAID, OVER_SEVERAL, OTHERWISE_REFUSED
    OUTCOMES

cdef enum:
    MAX_SHARDS = 64

cdef class Context:
    cdef readonly int number
    cdef readonly tuple path
    cdef readonly bint standard        # standard_conforming_strings
    cdef readonly bint utf8            # or ASCII

cdef class Router:
    cdef readonly str database
    cdef readonly object sharding      # Sharding; None until the catalog is there
    cdef readonly object catalog
    cdef readonly int home
    cdef readonly PlanCache cache
    cdef public object stale           # the NewCatalog that is being read, without which nothing is decided; or None
    cdef readonly object refusal       # of the last decision, if it was REFUSED: a TrunklineError
    cdef readonly bytes instead        # of the last that was EXPLAINED
    cdef readonly object wanted        # of the last that was APART: an Apart without a plan
    cdef list planned                  # what has been planned apart for the client whose turn it is; or None
    cdef readonly bytes text           # of the last that was SESSION
    cdef readonly object said          # of that, if it is a SET of trunkline's own: its name and value; or None
    cdef readonly bint whole           # there are no shards: a WholeRouter, which refuses nothing and waits for nothing
    cdef bint readable                 # a replica may answer the last statement
    cdef readonly object reading       # Reading of the last statement
    cdef readonly int generation       # counts the catalogs: a Context of an earlier one is of no use any more
    cdef dict _contexts
    cdef int _last_context
    cdef unsigned long long _counts[OUTCOMES][MAX_SHARDS + 1]   # the last column is of no shard
    cdef bint judges                   # whoever asks can have several servers for one statement
    cdef bint _hinted                  # the last text has a comment for us
    cdef bint _parsing                 # the last text came in a Parse: EXPLAIN (ROUTE) takes its parameters
    cdef Fingerprint _literals         # of the last statement, as the next two
    cdef bytes _body                   # of the last Bind, which may be nobody else's: `_text` points into it
    cdef const unsigned char *_text
    cdef Py_ssize_t _size
    cdef Call _call

    cdef Known known                   # what is known of the text of the last decision, or None
    cdef Outcome outcome               # of the last decision, once it is carried out
    cdef void count(self, Known known, Outcome outcome, int shard) noexcept
    cdef int _unknown(self, int explained) noexcept
    cdef readonly bint executes        # the last statement may run one that was prepared
    cdef int refuse_execute(self) except? -99
    cdef int forget(self) except -1
    cdef int of_text(self, const unsigned char *text, Py_ssize_t n, Context context, object hint) except? -99
    cdef int of_parse(self, const unsigned char *body, Py_ssize_t n, Context context, object hint) except? -99
    cdef int of_bind(self, object statement, const unsigned char *bind, Py_ssize_t n, Context context,
                     object hint) except? -99
    cdef Known _look(self, const unsigned char *text, Py_ssize_t n, Context context, object hint)
    cdef int _decide(self, Known known, object hint, bint bound) except? -99
    cdef int _refuse(self, error) except? -99
