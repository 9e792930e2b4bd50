"""The values of one call of a statement: the literals of its text, and the parameters of its Bind.

Rules:
1. Every length of a Bind is checked against what is there; one that does not hold makes the Bind malformed.
2. A parameter's type is what its Parse declared, else that of a cast, else the column's, as PostgreSQL infers it.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.string cimport memchr

from trunkline.routing.keys.arrays import ARRAY_OIDS, TYPE_OIDS, elements_from_binary, elements_from_text
from trunkline.routing.keys.binary_forms import SIZES
from trunkline.routing.text.fingerprint import FORMS as FORM_NAMES
from trunkline.routing.keys.literals import text_of
from trunkline.routing.plans.plan import Constant, Parameter
from trunkline.routing.keys.sharding import KeyUnknown, NotCoercible
from trunkline.routing.keys.values import from_binary, from_number, from_text

from trunkline.routing.text.fingerprint cimport Fingerprint, Span
from trunkline.routing.text.tokens cimport INTEGER, NUMERIC, UNICODE, WORD, Lexer, hash_of, next_token, start

cdef enum:
    UNKNOWN_OID = 705        # declared for what has no type yet: as good as none

cdef uint64_t UESCAPE_WORD = hash_of(b"uescape", 7)


cdef inline int read_u16(const unsigned char *at) noexcept:
    return at[0] << 8 | at[1]


cdef inline uint32_t read_u32(const unsigned char *at) noexcept:
    return <uint32_t>at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3]


cdef class Call:
    """The values of one call. It is used for one after the other, and points into what its caller keeps."""

    def __cinit__(self):
        self.capacity = self.count = self.oid_count = 0

    def __init__(self, text=None, bind=None, tuple oids=(), bint standard_strings=True):
        cdef bytes declared = b"".join([oid.to_bytes(4, "big") for oid in oids])
        self.kept = (text, bind, declared)
        if text is not None:
            self.speak(Fingerprint(text, standard_strings), <const unsigned char *>PyBytes_AS_STRING(text))
        self.declare(<const unsigned char *>PyBytes_AS_STRING(declared), len(oids))
        if bind is not None and not self.bind(<const unsigned char *>PyBytes_AS_STRING(bind), PyBytes_GET_SIZE(bind)):
            raise ValueError("a malformed Bind")

    def __dealloc__(self):
        PyMem_Free(self.fields)

    cdef void speak(self, Fingerprint literals, const unsigned char *text) noexcept:
        """The literals of a text; without parameters until there is a Bind."""
        self.literals, self.text = literals, text
        self.count, self.bound = 0, False

    cdef void declare(self, const unsigned char *oids, Py_ssize_t count) noexcept:
        """The types of parameters as a Parse has them: `count` times four bytes, 0 for one that PostgreSQL infers."""
        self.oids, self.oid_count = oids, count

    cdef int bind(self, const unsigned char *data, Py_ssize_t n) except -1:
        """The parameters of a Bind, from behind its two names; 0 if it is malformed, which the server will say."""
        cdef Py_ssize_t at
        self.data, self.count, self.bound = data, 0, True
        at = self._fields(n)
        if at < 0 or n - at < 2 or n - at != 2 + 2 * read_u16(data + at):
            self.count = 0
            return 0
        return 1

    cdef Py_ssize_t _fields(self, Py_ssize_t n) except -2:
        """The formats and the parameters; returns the offset behind them, or -1."""
        cdef const unsigned char *data = self.data
        cdef Py_ssize_t at, i, count, format_count = read_u16(data) if n >= 2 else 0
        at = 2 + 2 * format_count
        if n - at < 2:
            return -1
        count = read_u16(data + at)
        at += 2
        if format_count > 1 and format_count != count:
            return -1
        if count > self.capacity:
            self._room(count)
        self.count = count
        for i in range(count):
            at = self._field(i, at, n, read_u16(data + 2 + 2 * (i if format_count > 1 else 0)) if format_count else 0)
            if at < 0:
                return -1
        return at

    cdef Py_ssize_t _field(self, Py_ssize_t number, Py_ssize_t at, Py_ssize_t n, int format) noexcept:
        """One parameter; returns the offset behind it, or -1."""
        cdef Field *field = &self.fields[number]
        cdef uint32_t size
        if n - at < 4 or format > 1:
            return -1
        size = read_u32(self.data + at)
        field.start, field.binary, field.size = at + 4, format, -1
        if size == 0xffffffffU:
            return at + 4
        if <Py_ssize_t>size > n - at - 4:
            return -1
        field.size = size
        return at + 4 + field.size

    def _room(self, Py_ssize_t count):
        cdef Field *fields = <Field *>PyMem_Realloc(self.fields, count * sizeof(Field))
        if fields is NULL:
            raise MemoryError
        self.fields, self.capacity = fields, count

    cdef uint32_t oid_of(self, Py_ssize_t number) noexcept:
        """The type that was declared for a parameter; 0 if none was."""
        cdef uint32_t oid = read_u32(self.oids + 4 * number) if number < self.oid_count else 0
        return 0 if oid == UNKNOWN_OID else oid

    # --- as plan.Values ---

    def value(self, source, str type):
        if isinstance(source, Parameter):
            return self._value_of_parameter(source, type)
        if isinstance(source, Constant):
            return None if source.text is None else from_text(source.text.encode(), type, source.type)
        token, form = self._token(source)
        if form == INTEGER or form == NUMERIC:
            return from_number(token, type, source.type, negative=source.negative)
        return from_text(self._string(source, token, form), type, source.type)

    def declared(self, Py_ssize_t number):
        return self.oid_of(number - 1) if number > 0 else 0

    def elements(self, source, str type):
        if isinstance(source, Parameter):
            return self._elements_of_parameter(source, type)
        if isinstance(source, Constant):
            text = None if source.text is None else source.text.encode()
        else:
            text = self._string(source, *self._token(source))
        return [] if text is None else elements_from_text(text, type, source.type.removesuffix("[]"))

    def _value_of_parameter(self, source, type):
        cdef uint32_t oid = self.oid_of(source.number - 1)
        field = self._parameter(source)
        if field is None:
            return None
        given = type_of(TYPE_OIDS, oid) if oid else source.type
        if oid and field[1] and len(field[0]) != SIZES.get(given, len(field[0])):
            raise NotCoercible(f"{len(field[0])} bytes for a value of type {given}")
        return (from_binary if field[1] else from_text)(field[0], type, given)

    def _elements_of_parameter(self, source, type):
        cdef uint32_t oid = self.oid_of(source.number - 1)
        field = self._parameter(source)
        if field is None:
            return []
        given = type_of(ARRAY_OIDS, oid) if oid else source.type.removesuffix("[]")
        return (elements_from_binary if field[1] else elements_from_text)(field[0], type, given)

    def _parameter(self, source):
        """Its bytes, and whether they are binary; None is NULL."""
        cdef Py_ssize_t number = source.number - 1
        if self.bound and number >= self.count:
            raise NotCoercible(f"the Bind has no parameter ${source.number}")
        if not 0 <= number < self.count:
            raise KeyUnknown(f"there is no parameter ${source.number}")
        if self.fields[number].size < 0:
            return None
        data = PyBytes_FromStringAndSize(<char *>self.data + self.fields[number].start, self.fields[number].size)
        return data, self.fields[number].binary

    def _token(self, source):
        """The bytes of a literal, and their form."""
        cdef Py_ssize_t place = self.places.get(source.location, -1)
        cdef Span *span
        if place < 0 or self.literals is None or place >= self.literals.count:
            raise KeyUnknown("a literal that was not found again")
        span = &self.literals.spans[place]
        if span.form == UNICODE and is_followed_by_uescape(self.text, span.end, self.literals.lexer.n):
            raise KeyUnknown("a literal with UESCAPE")
        return PyBytes_FromStringAndSize(<char *>self.text + span.start, span.end - span.start), <int>span.form

    def _string(self, source, bytes token, int form):
        if source.negative:
            raise KeyUnknown("a minus before a string")
        return text_of(token, FORM_NAMES[form])


def type_of(names, oid):
    """What was declared for a parameter."""
    found = names.get(oid)
    if found is None:
        raise KeyUnknown(f"of a type with the OID {oid}")
    return found


cdef inline Py_ssize_t behind_name(const unsigned char *data, Py_ssize_t at, Py_ssize_t n) noexcept:
    """Behind the string that begins here; -1 if it has no end, or there is no such place."""
    cdef const unsigned char *end
    if at < 0 or at >= n:
        return -1
    end = <const unsigned char *>memchr(data + at, 0, n - at)
    return -1 if end is NULL else end - data + 1


cdef bint is_followed_by_uescape(const unsigned char *text, Py_ssize_t at, Py_ssize_t n) noexcept:
    cdef Lexer lexer
    start(&lexer, text + at, n - at, True)
    return next_token(&lexer) == WORD and lexer.hash == UESCAPE_WORD


def parameters_of_bind(bytes data):
    """(start, size, whether it is binary) of each parameter of a Bind's body, size -1 for NULL; None if it is malformed."""
    cdef const unsigned char *at = <const unsigned char *>PyBytes_AS_STRING(data)
    cdef Py_ssize_t i, n = PyBytes_GET_SIZE(data), names = behind_name(at, behind_name(at, 0, n), n)
    cdef Call call = Call()
    if names < 0 or not call.bind(at + names, n - names):
        return None
    return [(names + call.fields[i].start, call.fields[i].size, bool(call.fields[i].binary)) for i in range(call.count)]
