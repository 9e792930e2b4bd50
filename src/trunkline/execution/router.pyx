"""Router: from a client's statement to the shard that it goes to, for one database with shards.

Theory of operation. A text is known by its template, and what is known of it (`Known`) is its plan and what it means for
its session; the values of literals and of a Bind's parameters make a mask of it, and a mask with one bit is a shard. A
mask without any goes home: there, as on every shard, the statement finds no row. Answers are numbers; what else there is
to say of the last answer is in the router's fields.

Rules:
1. A mask of several shards is refused, whoever asks (0A000).
2. What a client says itself (a comment, SET trunkline.shard) chooses among the shards of the mask, never beside them.
3. Texts are read as UTF-8, the way a session with standard_conforming_strings reads them; what others could mean
   otherwise is refused.
4. A value that PostgreSQL would refuse goes home, to be refused in its words; one that only PostgreSQL can read is refused.
"""

import re
from dataclasses import replace

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memchr, memset

from trunkline.errors import StatementRefused, TrunklineError
from trunkline.execution.apart import Apart
from trunkline.execution.explanation import as_query, lines
from trunkline.execution.hints import may_choose, setting_of, shard_of_comment, shard_of_settings, wrong_setting
from trunkline.execution.missing_keys import AskedKey, forget_absent
from trunkline.execution.reading import Reading, explained_by, read
from trunkline.execution.refusals import AMBIGUOUS, EXECUTED, FOREIGN, USE_UTF8, not_mapped, refused, spanning
from trunkline.execution.search_path import path_of
from trunkline.routing.keys.sharding import KeyMissing
from trunkline.routing.plans.plan import Refusal, RoutePlan, Verdict
from trunkline.routing.planning.planner import plan as make_plan
from trunkline.routing.sql import MAX_BYTES

from trunkline.execution.texts cimport has_high_byte, length
from trunkline.protocol.statement cimport Statement
from trunkline.routing.plans.call cimport Call
from trunkline.routing.plans.evaluation cimport KEY_NOT_MAPPED, KEY_UNKNOWN, MANY_SHARDS, NOT_COERCIBLE, ReadyPlan
from trunkline.routing.text.fingerprint cimport Fingerprint
from trunkline.routing.plans.plan_cache cimport Known, PlanCache

UTF8 = (b"UTF8", b"SQL_ASCII")
PARAMETER = re.compile(rb"\$(\d+)")
OUTCOME_NAMES = ("single", "home", "any", "session", "hinted", "several", "refused")  # in the order of Outcome
REFUSED_THERE = "A replica has refused to answer it."
cdef object ROUTED = Verdict.ROUTED
cdef dict OUTCOME_OF = {Verdict.ROUTED: BY_KEY, Verdict.HOME: TO_HOME, Verdict.ANYWHERE: TO_ANY,
                        Verdict.SESSION: IN_SESSION, Verdict.EVERY: TO_HOME, Verdict.REFUSED: OTHERWISE_REFUSED}
cdef object NOTHING = Reading(RoutePlan(Verdict.ANYWHERE))


cdef class Router:
    """One for each database with shards; `learn` gives it a catalog, without which it decides nothing."""

    def __init__(self, str database):
        self.database = database
        self._contexts = {}
        self.cache = PlanCache()
        self._literals = Fingerprint()
        self._call = Call()

    def learn(self, catalog, sharding):
        """Decide by this catalog from now on."""
        if self.sharding is None or self.sharding.shards != sharding.shards:
            memset(self._counts, 0, sizeof(self._counts))
        self.catalog, self.sharding, self.home = catalog, sharding, sharding.home
        self._contexts = {}  # what statements remember is of a context that nobody has any more
        self.generation += 1
        self.cache.clear()

    cdef void count(self, Known known, Outcome outcome, int shard) noexcept:
        """A statement has gone to this shard, or to none (-1)."""
        self._counts[<int>outcome][shard if shard >= 0 else MAX_SHARDS] += 1
        if known is not None:
            known.calls += 1
            known.shards |= <uint64_t>1 << shard if shard >= 0 else 0

    def counts(self):
        """How many statements had which outcome at which shard ("" is none), but for what has never happened."""
        names = dict(enumerate(self.sharding.shards)) | {MAX_SHARDS: ""}
        found = [(one, shard, self._counts[one][shard]) for one in range(<int>OUTCOMES) for shard in names]
        return [(OUTCOME_NAMES[outcome], names[shard], count) for outcome, shard, count in found if count]

    def session_of(self, params, str user):
        """What decisions need of a session's settings: its Context, and the shard that they say.

        None: they say none; a TrunklineError: one that there is not.
        """
        said = params.reported.get(b"search_path", params.extra.get(b"search_path"))
        standard = params.reported.get(b"standard_conforming_strings") != b"off"
        utf8 = params.reported.get(b"client_encoding", b"UTF8").upper() in UTF8
        key = (path_of(said, user), standard, utf8)
        context = self._contexts.get(key)
        if context is None:
            self._last_context += 1
            context = self._contexts[key] = Context(self._last_context, *key)
        return context, self.hint_of(params.extra)

    def hint_of(self, settings):
        """The shard that these settings say; with a key, the settings: where it is may change."""
        try:
            return dict(settings) if settings.get(b"trunkline.key") else shard_of_settings(settings, self.sharding)
        except TrunklineError as error:
            return error

    def spans(self, int held, int wanted, bint pinned):
        """Why a statement for one shard cannot run in a transaction, or for a client, that is on another."""
        names, plan = self.sharding.shards, self.reading.plan
        if plan.verdict is Verdict.HOME and not plan.occurrences and plan.unless_single is not None:
            return refused(plan.unless_single)  # it does not parse
        return spanning(names[held], names[wanted], pinned=pinned)

    cdef int refuse_execute(self) except? -99:
        """Of SQL that may run a statement which was prepared over the protocol: where that goes is not looked at."""
        return self._refuse(StatementRefused(EXECUTED, hint="Bind it over the protocol, as drivers do."))

    cdef int forget(self) except -1:
        """What is said of the last decision is another client's business: the next may have nothing to say."""
        self.reading, self.refusal, self.said, self.executes = NOTHING, None, None, False
        self.known, self.outcome, self.readable = None, TO_ANY, False
        return 0

    # --- decisions ------------------------------------------------------------------------------------------------

    cdef int of_text(self, const unsigned char *text, Py_ssize_t n, Context context, object hint) except? -99:
        """Of a simple query: a zero-terminated text."""
        cdef Known known
        self._parsing = False
        known = self._look(text, length(text, n), context, hint)
        return self._decide(known, hint, True) if known is not None else self._unknown(EXPLAINED)

    cdef int of_parse(self, const unsigned char *body, Py_ssize_t n, Context context, object hint) except? -99:
        """Of a Parse from its text on. Without its parameters some of them say nothing yet: ANYWHERE."""
        cdef Known known
        if memchr(body, 0, n) == NULL:
            return ANYWHERE  # malformed, as the server will say
        self._parsing = True
        known = self._look(body, length(body, n), context, hint)
        return self._decide(known, hint, False) if known is not None else self._unknown(EXPLAINED)

    cdef int of_bind(self, object statement, const unsigned char *bind, Py_ssize_t n, Context context,
                     object hint) except? -99:
        """Of a Bind, from behind its two names; `statement` is a Statement, the body of a Parse, or None."""
        cdef bytes body
        cdef const unsigned char *text
        cdef Py_ssize_t size, oids
        cdef Known known
        if statement is None:
            return ANYWHERE  # there is none, as the server will say
        body = self._body = (<Statement>statement).body if type(statement) is Statement else statement
        text = <const unsigned char *>PyBytes_AS_STRING(body)
        size = length(text, PyBytes_GET_SIZE(body))
        oids = PyBytes_GET_SIZE(body) - size - 3
        if oids < 0:
            return self._refuse(StatementRefused("a prepared statement above 4 MB is not routed"))
        if type(statement) is Statement and (<Statement>statement).route_context is context:
            known = (<Statement>statement).route
            self._hinted = False
        else:
            known = self._look(text, size, context, hint)
            if known is None:
                return self._unknown(ANYWHERE)
            if type(statement) is Statement and not known.ready.uses_literals and not self._hinted:
                (<Statement>statement).route, (<Statement>statement).route_context = known, context
        self._call.declare(text + size + 3, oids // 4)
        if not self._call.bind(bind, n):
            return ANYWHERE  # malformed, as the server will say
        if not context.utf8 and has_high_byte(bind, n):
            return self._refuse(StatementRefused(FOREIGN, hint=USE_UTF8))
        self._text, self._size = text, size
        return self._decide(known, hint, True)

    cdef Known _look(self, const unsigned char *text, Py_ssize_t n, Context context, object hint):
        """What is known of a text; None if there is a `refusal`, or its plan is `wanted`, or else it is explained."""
        cdef Known known
        self.refusal = self.wanted = None
        if not context.utf8 and has_high_byte(text, n):
            self._refuse(StatementRefused(FOREIGN, hint=USE_UTF8))
            return None
        self._literals.scan(text, n, context.standard)
        self._text, self._size, self._hinted = text, n, self._literals.lexer.hints > 0
        known = self.cache.find(self._literals, text, context.number)
        if known is None:
            known = self._learn(PyBytes_FromStringAndSize(<const char *>text, n), context, hint)
            if known is None:
                return None
        self._call.speak(self._literals, text)
        self._call.declare(NULL, 0)
        return known

    def _learn(self, bytes sql, Context context, hint):
        cdef Known known
        inner = explained_by(sql)
        if inner is not None:
            self.instead = self._explain(inner, context, hint)
            return None
        if not context.standard and self._literals.ambiguous:
            self._refuse(StatementRefused(AMBIGUOUS, hint="Write E'...' where a backslash is meant as an escape."))
            return None
        plan = self._plan_of(sql, context)
        if plan is None:
            return None
        known = self.cache.put(self._literals, sql, plan, context.number, read(sql, plan))
        known.special = known.note.shows_position or known.note.takes_position
        known.readable &= not known.special
        return known

    def _plan_of(self, bytes sql, Context context):
        """None for a long text that has not been planned apart."""
        if len(sql) <= MAX_BYTES:
            return make_plan(sql, self.catalog, self.sharding, context.path)
        for one in self.planned or ():
            if one.is_of(sql, context):
                one.used = True
                return one.plan
        self.wanted = Apart(sql, context)
        return None

    cdef int _unknown(self, int explained) noexcept:
        """The decision on a text of which `_look` has found nothing."""
        return REFUSED if self.refusal is not None else APART if self.wanted is not None else explained

    def _explain(self, bytes inner, Context context, hint):
        """What is decided of the statement, by a plan made anew: one that is kept has no literals in its words."""
        if explained_by(inner) is not None:
            return as_query(iter(("Route: answered by the proxy itself",)))
        plan = self._plan_of(inner, context)
        if plan is None:
            return None
        parameters = max(map(int, PARAMETER.findall(inner)), default=0)
        literals, call, usual = Fingerprint(inner), Call(inner), self._call
        plan = replace(plan, primary=self._why_primary(plan, inner, context))
        known = Known(ReadyPlan(plan, literals, inner), read(inner, plan), literals, inner)
        self._call = call
        decision = self._decide(known, hint, not parameters)
        error, outcome, self._call = self.refusal, self.outcome, usual
        self.forget()
        if decision == APART:
            return None
        if decision == REFUSED and outcome != OVER_SEVERAL:
            refusal = Refusal(error.message, error.hint or "", error.sqlstate)
            said = lines(replace(plan, verdict=Verdict.REFUSED, refusal=refusal), None, self.sharding, inner)
        elif outcome == AS_SAID:
            who = "a comment" if self._hinted else "a setting of this session"
            said = lines(plan, 1 << decision, self.sharding, inner, who)
        else:
            code = known.ready.code_of(call)
            mask = None if code == KEY_UNKNOWN and parameters else self._mask(known.ready, call, code)
            from trunkline.routing.spreading.explaining import way_of  # loaded where somebody asks
            said = lines(plan, mask, self.sharding, inner, way=way_of(inner, plan, self.catalog, self.sharding, context.path))
        return as_query(said, parameters if self._parsing else 0)

    def _why_primary(self, plan, bytes sql, Context context):
        """Why no replica may answer this: by its plan, or because one has refused to."""
        known = self.cache.get(Fingerprint(sql, context.standard), sql, context.number)
        return plan.primary or (REFUSED_THERE if known is not None and not known.readable else "")

    def _mask(self, ReadyPlan ready, Call call, code):
        """An answer of `evaluate` as a mask."""
        if code == MANY_SHARDS:
            return ready.mask_of(call)
        return {NOT_COERCIBLE: 0, KEY_UNKNOWN: self.sharding.every, KEY_NOT_MAPPED: 0}.get(code, code)

    # --- from a plan to a shard -----------------------------------------------------------------------------------

    cdef int _decide(self, Known known, object hint, bint bound) except? -99:
        cdef int64_t mask
        self.reading, self.executes, self.known, self.readable = known.note, False, known, known.readable
        self.outcome = BY_KEY
        if not known.routed or hint is not None or self._hinted:
            return self._relayed(known, hint, bound)
        mask = known.ready.evaluate(self._call)
        if mask <= 0 or mask & (mask - 1):
            return self._by_mask(known, mask, bound)
        return number_of(mask)

    def _relayed(self, Known known, hint, bint bound):
        """What the home shard has to hear of is a transaction over several shards, for who relays."""
        cdef int decision = self._decide_slowly(known, <bytes>self._text[:self._size], hint, bound)
        goes = self.judges or known.ready.plan.keeps is None or decision < (0 if known.ready.plan.verdict is ROUTED else ANYWHERE)
        return decision if goes else self._refuse_several(known.ready.plan)

    def _by_mask(self, Known known, mask, bint bound):
        """Of a routed statement whose mask has not one bit."""
        if mask == NOT_COERCIBLE or (mask == KEY_UNKNOWN and not bound):
            return ANYWHERE
        if mask == KEY_NOT_MAPPED:
            return self._refuse(not_mapped(self._call.reason))
        if mask == KEY_UNKNOWN and known.ready.plan.unless_single is None:
            return self._refuse(StatementRefused(f"the key of this statement cannot be read here: {self._call.reason}"))
        mask = self._mask(known.ready, self._call, mask)
        if mask == 0:
            return self._nowhere(known)
        return mask.bit_length() - 1 if mask.bit_count() == 1 else self._refuse_several(known.ready.plan)

    def _nowhere(self, Known known):
        """No shard has a row of it, which any of them says; but a row that is to be put somewhere has to have a place."""
        plan, self.outcome = known.ready.plan, TO_ANY
        if not known.note.inserts:
            return ANYWHERE
        written = [found.table.split(".", 1) for found in plan.occurrences if found.writes and found.kind == "sharded"]
        for schema, name in written:
            relation = self.catalog.find_relation(schema, name, ())
            keys = self.sharding.rule_of(schema, name).columns
            if relation is None or not all((found := relation.column(key)) and found.not_null for key in keys):
                return self._refuse(StatementRefused("a row whose key is NULL has no shard", hint="Make the key NOT NULL."))
        return self.home  # where PostgreSQL says that it may not be NULL

    def _decide_slowly(self, Known known, bytes sql, hint, bint bound):
        plan, self.executes, self.outcome = known.ready.plan, known.note.executes, OUTCOME_OF[known.ready.plan.verdict]
        said = self._said(sql, hint)
        if isinstance(said, Exception) and (self._hinted or plan.verdict is not Verdict.SESSION):
            return self._refuse(said)
        if plan.verdict is Verdict.SESSION:
            return self._of_session(known, sql, said)
        if plan.verdict is Verdict.REFUSED or plan.draws is not None:
            return self._refuse_several(plan) if plan.draws is not None else self._refuse(refused(plan.refusal))
        if plan.verdict is ROUTED:
            return self._choose(known, said, bound)
        if said is not None and plan.verdict is Verdict.HOME and not may_choose(plan, self._hinted):
            return self._against(said, 1 << self.home) if self._hinted and said != self.home else self.home
        if said is not None and not (plan.verdict is Verdict.EVERY and plan.writes):
            self.outcome = AS_SAID
            return said
        if plan.verdict is Verdict.EVERY and (plan.declares or len(self.sharding.shards) > 1):
            return self._refuse_several(plan)
        if plan.writes:
            forget_absent(self.sharding)  # it may be a directory
        return self.home if plan.verdict is not Verdict.ANYWHERE else ANYWHERE

    def _said(self, bytes sql, hint):
        """What the client says itself, or why that cannot be: its comment goes before its settings."""
        try:
            if self._hinted:
                start, end = self._literals.hint
                return shard_of_comment(sql[start:end], self.sharding)
            return shard_of_settings(hint, self.sharding) if isinstance(hint, dict) else hint
        except (TrunklineError, KeyMissing) as error:
            return error

    def _choose(self, Known known, said, bint bound):
        """Of a routed statement, the shard that the client says, if it is one of those that are concerned."""
        mask = known.ready.evaluate(self._call)
        if said is None or mask == KEY_NOT_MAPPED or known.ready.plan.moves:
            return self._by_mask(known, mask, bound)
        if mask == KEY_UNKNOWN and not bound:
            return ANYWHERE
        wide = self._mask(known.ready, self._call, mask)
        if wide == 0 and known.note.inserts:
            return self._by_mask(known, mask, bound)  # no word of the client's makes a place for such a row
        if wide >> said & 1 or wide == 0:
            self.outcome = BY_KEY if wide == 1 << said else AS_SAID
            return said
        return self._against(said, wide) if self._hinted else self._by_mask(known, mask, bound)

    def _against(self, int said, wide):
        names = ", ".join(self.sharding.names_of(wide))
        return self._refuse(StatementRefused(f"a comment says shard {self.sharding.shards[said]}, and the statement concerns {names}"))

    def _of_session(self, Known known, bytes sql, said):
        if self._hinted:
            self.outcome = AS_SAID
            return said
        if known.note.listens:
            return self.home  # where notifications are
        self.text = sql
        if b"trunkline." in sql.lower():
            self.said = setting_of(sql)
            if self.said is not None and (found := wrong_setting(*self.said, self.sharding)) is not None:
                return self._refuse(found)
        return SESSION

    def _refuse_several(self, plan):
        self._refuse(refused(plan.draws or plan.keeps or plan.unless_single or plan.refusal))
        self.outcome = OVER_SEVERAL
        return REFUSED

    cdef int _refuse(self, error) except? -99:
        if isinstance(error, KeyMissing):
            self.wanted = AskedKey(error)
            return APART
        self.refusal, self.outcome = error, OTHERWISE_REFUSED
        return REFUSED


cdef class Context:
    """How the texts of some sessions are understood: where names are looked up, where strings end, what bytes mean."""

    def __init__(self, int number, tuple path, bint standard, bint utf8):
        self.number, self.path, self.standard, self.utf8 = number, path, standard, utf8


cdef inline int number_of(int64_t mask) noexcept:
    """Of the one bit."""
    cdef int number = 0
    while not mask >> number & 1:
        number += 1
    return number
