"""From a planned statement and the values of one call to the mask of the shards that the call concerns.

Theory of operation. A plan is made of one text and used for all with its key: `ReadyPlan` has it with the places of its
literals as ordinals, and a `Call` has the literals of one text and the parameters of one Bind. Nearly every plan is one
key equal to one literal or parameter, hashed into buckets: that is evaluated here in C, where the value is written in
the usual way. All else is evaluated by `routing.plans.masks`, for which a `Call` is its `Values`: compiled code answers only
what that would answer too.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.ref cimport PyObject
from libc.string cimport memchr

from trunkline.routing.keys.arrays import TYPE_OIDS
from trunkline.routing.plans.masks import mask_of
from trunkline.routing.plans.plan import All, AnyOf, Between, Equals, Fixed, In, InArray, Literal, Parameter
from trunkline.routing.keys.sharding import KeyMissing, KeyNotMapped, KeyUnknown, NotCoercible
from trunkline.routing.keys.values import base_of

from trunkline.routing.plans.call cimport Call, Field
from trunkline.routing.text.fingerprint cimport Fingerprint, Span
from trunkline.routing.keys.hashing cimport combine, hash_bytes, hash_int8, hash_uint32
from trunkline.routing.text.tokens cimport INTEGER as INTEGER_FORM
from trunkline.routing.text.tokens cimport PLAIN, Lexer, next_token, start

cdef extern from "Python.h":
    PyObject *PyTuple_GET_ITEM(tuple items, Py_ssize_t at)
    long long PyLong_AsLongLong(object number) except? -1

cdef enum:
    MAX_BITS = 62            # of a mask in C
    MAX_DIGITS = 18          # that fit an int64 whatever they are
    MAX_TEXT = 0x40000000    # bytes of a value
    INT2_OID = 21, INT4_OID = 23, INT8_OID = 20, TEXT_OID = 25, VARCHAR_OID = 1043, UUID_OID = 2950

FAMILIES = {"int2": SMALL_INTEGER, "int4": INTEGER, "int8": BIG_INTEGER, "text": TEXT, "varchar": TEXT, "uuid": UUID}
OIDS = {name: oid for oid, name in TYPE_OIDS.items()}
CODES = {NotCoercible: NOT_COERCIBLE, KeyUnknown: KEY_UNKNOWN, KeyNotMapped: KEY_NOT_MAPPED,
         KeyMissing: KEY_NOT_MAPPED}


# --- reading values ---------------------------------------------------------------------------------------------------

cdef inline bint read_digits(const unsigned char *at, Py_ssize_t n, bint negative, int64_t *value) noexcept:
    """Plain digits, perhaps behind a minus."""
    cdef int64_t number = 0
    cdef Py_ssize_t i
    if n > 1 and at[0] == c'-':
        negative = not negative
        at += 1
        n -= 1
    if not 0 < n <= MAX_DIGITS:
        return False
    for i in range(n):
        if not c'0' <= at[i] <= c'9':
            return False
        number = number * 10 + (at[i] - c'0')
    value[0] = -number if negative else number
    return True


cdef inline int64_t signed_of(const unsigned char *at, Py_ssize_t n) noexcept:
    """Of 1 to 8 bytes, big-endian."""
    cdef uint64_t value = <uint64_t>0 - (at[0] >> 7)
    cdef Py_ssize_t i
    for i in range(n):
        value = (value << 8) | at[i]
    return <int64_t>value


cdef inline int nibble(unsigned char c) noexcept:
    if c'0' <= c <= c'9':
        return c - c'0'
    c |= 32
    return c - c'a' + 10 if c'a' <= c <= c'f' else -1


cdef inline bint is_ascii(const unsigned char *at, Py_ssize_t n) noexcept:
    """Whether a text is one in any encoding: no byte is zero, or above 127."""
    cdef Py_ssize_t i
    for i in range(n):
        if not 0 < at[i] < 128:
            return False
    return True


cdef inline bint read_uuid(const unsigned char *at, Py_ssize_t n, unsigned char *raw) noexcept:
    """As it is usually written: 8-4-4-4-12."""
    cdef int i, place = 0, high, low
    if n != 36:
        return False
    for i in range(16):
        if i == 4 or i == 6 or i == 8 or i == 10:
            if at[place] != c'-':
                return False
            place += 1
        high, low = nibble(at[place]), nibble(at[place + 1])
        if high < 0 or low < 0:
            return False
        raw[i] = <unsigned char>(high << 4 | low)
        place += 2
    return True


# --- a plan -----------------------------------------------------------------------------------------------------------

cdef class ReadyPlan:
    """A RoutePlan that was made of one text, ready for all texts with the same key."""

    def __init__(self, plan, Fingerprint literals, bytes text):
        cdef Py_ssize_t ordinal
        self.plan, self.places = plan, {}
        self.fixed, self.family = -1, NO_FAMILY
        for source in sources_of(plan):
            if isinstance(source, Literal):
                self.uses_literals = True
                ordinal = find_literal(literals, text, source.location, source.negative)
                if ordinal >= 0:
                    self.places[source.location] = ordinal
        if isinstance(plan.where, Fixed) and plan.where.mask.bit_length() <= MAX_BITS:
            self.fixed = plan.where.mask
        elif isinstance(plan.where, Equals) and len(plan.where.sources) == 1:
            self._compile(plan.where)

    def _compile(self, where):
        """Where compiled code can evaluate one key that is equal to one value, have it do so."""
        function, source = where.function, where.sources[0]
        base = base_of(function.types[0])
        family = FAMILIES.get(base, NO_FAMILY)
        masks = getattr(function, "masks", None) if function.name == "hash" else None
        if not isinstance(masks, tuple) or function.every.bit_length() > MAX_BITS or source.type not in ("", base):
            return
        if isinstance(source, Parameter) and source.number > 0:
            self.number = source.number - 1
        elif isinstance(source, Literal) and source.location in self.places:
            self.number, self.ordinal, self.negative = -1, self.places[source.location], source.negative
        else:
            return
        self.limit = int(function.types[0].removeprefix(base).strip("()") or MAX_TEXT) if family == TEXT else 0
        self.masks, self.family, self.oid = masks, family, OIDS[base]
        self.nowhere = where.nowhere

    @property
    def compiled(self):
        """Whether compiled code evaluates it, where the value is written in the usual way."""
        return self.fixed >= 0 or self.family != NO_FAMILY

    cdef int64_t evaluate(self, Call call) except -9:
        """The mask, or one of Unknown."""
        cdef int64_t mask
        if self.fixed >= 0:
            return self.fixed
        if self.family != NO_FAMILY:
            mask = self._of_parameter(call) if self.number >= 0 else self._of_literal(call)
            if mask >= 0:
                return mask
        return self._evaluate_all(call)

    cdef int64_t _evaluate_all(self, Call call) except -9:
        try:
            mask = self.mask_of(call)
        except (NotCoercible, KeyUnknown, KeyNotMapped) as reason:
            call.reason = reason
            return CODES[type(reason)]
        return mask if mask.bit_length() <= MAX_BITS else MANY_SHARDS

    def mask_of(self, Call call, where=None):
        """The mask, of the whole plan or of a part of it; raises what hinders."""
        call.places = self.places
        return mask_of(self.plan.where if where is None else where, call)

    def code_of(self, Call call):
        """`evaluate` for tests."""
        return self.evaluate(call)

    cdef int64_t _of_parameter(self, Call call) except -9:
        """The mask; -1 if this is a case for the other way, here and below."""
        cdef Field *field
        cdef const unsigned char *at
        cdef uint32_t oid
        if self.number >= call.count:
            return -1
        field = &call.fields[self.number]
        oid = call.oid_of(self.number)
        at = call.data + field.start
        if oid and not self._takes(oid):
            return -1
        if field.size < 0:
            return self.nowhere
        if self.family == TEXT or (not field.binary and (oid == 0 or oid == self.oid)):
            return self._of_text(at, field.size, False)
        if not field.binary:
            return -1
        if self.family == UUID:
            return self._of_hash(hash_bytes(at, 16)) if field.size == 16 else -1
        if field.size != width_of(oid, self.family):
            return -1
        return self._of_integer(signed_of(at, field.size))

    cdef bint _takes(self, uint32_t oid) noexcept:
        """Whether values of a declared type are read as those of the column's are."""
        if self.family == TEXT:
            return oid == TEXT_OID or oid == VARCHAR_OID
        if self.family == UUID:
            return oid == UUID_OID
        return oid == INT8_OID or oid == INT4_OID or oid == INT2_OID

    cdef int64_t _of_literal(self, Call call) except -9:
        cdef Span *span
        cdef const unsigned char *at
        cdef Py_ssize_t n
        if call.literals is None or self.ordinal >= call.literals.count:
            return -1
        span = &call.literals.spans[self.ordinal]
        at, n = call.text + span.start, span.end - span.start
        if span.form == INTEGER_FORM and self.family <= BIG_INTEGER:
            return self._of_text(at, n, self.negative)
        if span.form != PLAIN or self.negative or memchr(at + 1, c"'", n - 2) is not NULL:
            return -1
        return self._of_text(at + 1, n - 2, False)

    cdef int64_t _of_text(self, const unsigned char *at, Py_ssize_t n, bint negative) except -9:
        cdef unsigned char raw[16]
        cdef int64_t value = 0
        if self.family == TEXT:
            return self._of_hash(hash_bytes(at, n)) if n <= self.limit and is_ascii(at, n) else -1
        if self.family == UUID:
            return self._of_hash(hash_bytes(raw, 16)) if read_uuid(at, n, raw) else -1
        return self._of_integer(value) if read_digits(at, n, negative, &value) else -1

    cdef int64_t _of_integer(self, int64_t value) except -9:
        if self.family == BIG_INTEGER:
            return self._of_hash(hash_int8(value))
        if (self.family == INTEGER and value != <int>value) or (self.family == SMALL_INTEGER and value != <short>value):
            return -1
        return self._of_hash(hash_uint32(<uint32_t>value))

    cdef int64_t _of_hash(self, uint64_t column) except -9:
        cdef uint64_t bucket = combine(0, column) % <uint64_t>len(self.masks)
        return PyLong_AsLongLong(<object>PyTuple_GET_ITEM(self.masks, <Py_ssize_t>bucket))


cdef inline Py_ssize_t width_of(uint32_t oid, Family family) noexcept:
    """The bytes of a binary integer of its declared type, or else of its column's."""
    if oid == INT8_OID or (oid == 0 and family == BIG_INTEGER):
        return 8
    return 4 if oid == INT4_OID or (oid == 0 and family == INTEGER) else 2


def sources_of(plan):
    """All literals, parameters and constants in the conditions of a plan."""
    todo = [plan.where, *[occurrence.where for occurrence in plan.occurrences]]
    while todo:
        where = todo.pop()
        if isinstance(where, (All, AnyOf)):
            todo.extend(where.parts)
        elif isinstance(where, Equals):
            yield from where.sources
        elif isinstance(where, In):
            for row in where.rows:
                yield from row
        elif isinstance(where, InArray):
            yield where.array
        elif isinstance(where, Between):
            yield from (where.low, where.high)


cdef Py_ssize_t find_literal(Fingerprint literals, bytes text, Py_ssize_t location, bint negative) noexcept:
    """The ordinal of the literal at a location, with a minus before it or without; -1 if it is not there like that."""
    cdef Py_ssize_t ordinal = literals.ordinal_of(location), n = PyBytes_GET_SIZE(text)
    cdef Lexer lexer
    if not 0 <= location < n or ordinal >= literals.count:
        return -1
    start(&lexer, <const unsigned char *>PyBytes_AS_STRING(text) + location, n - location, literals.lexer.standard)
    next_token(&lexer)
    if negative:
        if lexer.at - lexer.start != 1 or lexer.text[lexer.start] != c'-':
            return -1
        next_token(&lexer)
    if lexer.start < lexer.at and (lexer.text[lexer.start] | 32) == c'n':  # N'...' begins at its quote
        lexer.start += 1
    return ordinal if location + lexer.start == literals.spans[ordinal].start else -1
