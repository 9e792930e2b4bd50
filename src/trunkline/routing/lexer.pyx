"""PostgreSQL's tokens, in one pass without allocation; and what a statement's words say at a glance.

`glance` is asked about every statement, so it only finds out whether there is anything to think about: a first word
that is not one of the plain ones, or a word anywhere that can change a session (`set_config`, `temp`, an advisory lock).
What it finds doubtful is parsed, once for each template (routing.template).

Rules:
1. Tokens end where PostgreSQL's end (scan.l): nested comments, dollar quotes, E'', U&'', quoted identifiers.
2. Where a string ends if `standard_conforming_strings` is off is not known here: a backslash before a quote in a plain
   string makes the text ambiguous, and an ambiguous text is never taken for harmless.
3. Being wrong on the side of doubt costs one parse; a word is found by its hash alone.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.string cimport memchr, memcmp, memset

# --- the words --------------------------------------------------------------------------------------------------------

# Anywhere in a statement, also quoted: what leaves something in the session, or reads what was left there.
DOUBTFUL_WORDS = frozenset((
    "set_config", "setseed", "temp", "temporary", "hold", "lastval", "currval", "execute",
    "pg_advisory_lock", "pg_advisory_lock_shared", "pg_try_advisory_lock", "pg_try_advisory_lock_shared",
    "pg_advisory_unlock", "pg_advisory_unlock_shared", "pg_advisory_unlock_all", "pg_temp",
    "dblink_connect", "dblink_connect_u", "pg_listening_channels", "pg_create_logical_replication_slot", "pg_create_physical_replication_slot",
))

# The first word of a statement: "read" writes nothing (by itself: a function may), "doubtful" is looked at with a parser.
# Any other first word is doubtful and may write.
FIRST_WORDS = {
    "select": ("read",), "values": ("read",), "table": ("read",), "show": ("read",), "begin": ("read",),
    "start": ("read",), "rollback": ("read",), "abort": ("read",), "savepoint": ("read",), "release": ("read",),
    "fetch": ("read",), "move": ("read",), "declare": ("read",), "lock": ("read",),
    "close": ("read", "doubtful"), "set": ("read", "doubtful"), "reset": ("read", "doubtful"),
    "listen": ("read", "doubtful"), "unlisten": ("read", "doubtful"), "load": ("read", "doubtful"),
    "discard": ("read", "doubtful", "ends_names"), "deallocate": ("read", "doubtful", "ends_names"),
    "prepare": ("doubtful",), "execute": ("doubtful",), "do": ("doubtful",), "call": ("doubtful",),
    "drop": ("write", "doubtful"),
    "insert": ("write",), "update": ("write",), "delete": ("write",), "merge": ("write",), "with": ("write",),
    "copy": ("write",), "explain": ("write",), "truncate": ("write",), "create": ("write", "doubtful"), "alter": ("write", "doubtful"),
    "grant": ("write",), "revoke": ("write",), "comment": ("write",), "vacuum": ("write",), "analyze": ("write",),
    "analyse": ("write",), "reindex": ("write",), "cluster": ("write",), "refresh": ("write",), "notify": ("write",),
    "checkpoint": ("write",), "security": ("write",), "reassign": ("write",), "import": ("write",),
    "commit": ("commit",), "end": ("commit",),
}

# Two of the bits of a glance, for callers in Python.
COMMITTING, WRITING = COMMITS, WRITES

cdef enum:
    SPACE = 1, LETTER, DIGIT, QUOTE, DOUBLE_QUOTE, DOLLAR, DASH, SLASH, POINT

cdef unsigned char KIND[256]     # of a character; 0 is any other
cdef unsigned char LOWER[256]
memset(KIND, 0, sizeof(KIND))
for _i in range(256):
    _c = chr(_i)
    LOWER[_i] = <unsigned char>ord(_c.lower()) if _i < 128 else _i
    if _i >= 128 or _c == "_" or _c.isalpha():
        KIND[_i] = LETTER
    elif _c.isdigit():
        KIND[_i] = DIGIT
for _c in " \t\n\r\f\v":
    KIND[<unsigned char>ord(_c)] = SPACE
for _c, _kind in (("'", QUOTE), ('"', DOUBLE_QUOTE), ("$", DOLLAR), ("-", DASH), ("/", SLASH), (".", POINT)):
    KIND[<unsigned char>ord(_c)] = <unsigned char>_kind


cdef uint64_t hash_of(const unsigned char *word, Py_ssize_t n) noexcept:
    """FNV-1a of the lower case."""
    cdef uint64_t value = 0xcbf29ce484222325ULL
    cdef Py_ssize_t i
    for i in range(n):
        value = (value ^ LOWER[word[i]]) * 0x100000001b3ULL
    return value


cdef class Vocabulary:
    """The words above, and `extra` ones: lower case, doubtful wherever they stand."""

    def __cinit__(self, extra=()):
        self.mask = 511
        self.table = <Entry *>PyMem_Calloc(self.mask + 1, sizeof(Entry))
        if self.table is NULL:
            raise MemoryError
        self.extra = frozenset(extra)
        for word in DOUBTFUL_WORDS:
            self._add(word.encode(), ANYWHERE)
        for word in self.extra:
            self._add(word, ANYWHERE)
        for word, meaning in FIRST_WORDS.items():
            self._add(word.encode(), FIRST | (FIRST_READS if "read" in meaning else 0)
                      | (FIRST_DOUBTFUL if "doubtful" in meaning else 0)
                      | (FIRST_ENDS_NAMES if "ends_names" in meaning else 0)
                      | (FIRST_COMMITS if "commit" in meaning else 0))

    def __dealloc__(self):
        PyMem_Free(self.table)

    def _add(self, bytes word, unsigned int bits):
        self._put(hash_of(<const unsigned char *>PyBytes_AS_STRING(word), PyBytes_GET_SIZE(word)), bits)

    cdef int _put(self, uint64_t hash, unsigned int bits) except -1:
        cdef uint64_t at
        if 2 * self.count > <Py_ssize_t>self.mask:
            self._grow()
        at = hash & self.mask
        while self.table[at].hash and self.table[at].hash != hash:
            at = (at + 1) & self.mask
        self.count += self.table[at].hash == 0
        self.table[at].hash = hash
        self.table[at].bits |= bits
        return 0

    cdef int _grow(self) except -1:
        cdef Entry *old = self.table
        cdef uint64_t i, size = self.mask + 1
        self.table = <Entry *>PyMem_Calloc(2 * size, sizeof(Entry))
        if self.table is NULL:
            self.table = old
            raise MemoryError
        self.mask, self.count = 2 * size - 1, 0
        for i in range(size):
            if old[i].hash:
                self._put(old[i].hash, old[i].bits)
        PyMem_Free(old)
        return 0

    cdef unsigned int find(self, uint64_t hash) noexcept:
        cdef uint64_t at = hash & self.mask
        while self.table[at].hash:
            if self.table[at].hash == hash:
                return self.table[at].bits
            at = (at + 1) & self.mask
        return 0


# --- tokens -----------------------------------------------------------------------------------------------------------

cdef inline void skip_line_comment(Lexer *lexer) noexcept:
    while lexer.at < lexer.n and lexer.text[lexer.at] != c'\n' and lexer.text[lexer.at] != c'\r':
        lexer.at += 1


cdef inline void skip_block_comment(Lexer *lexer) noexcept:
    """From behind its opening; they nest."""
    cdef Py_ssize_t depth = 1
    while lexer.at < lexer.n and depth:
        if lexer.at + 1 < lexer.n and lexer.text[lexer.at] == c'*' and lexer.text[lexer.at + 1] == c'/':
            depth -= 1
            lexer.at += 2
        elif lexer.at + 1 < lexer.n and lexer.text[lexer.at] == c'/' and lexer.text[lexer.at + 1] == c'*':
            depth += 1
            lexer.at += 2
        else:
            lexer.at += 1


cdef inline void skip_blanks(Lexer *lexer) noexcept:
    cdef unsigned char kind
    while lexer.at < lexer.n:
        kind = KIND[lexer.text[lexer.at]]
        if kind == SPACE:
            lexer.at += 1
        elif kind == DASH and lexer.at + 1 < lexer.n and lexer.text[lexer.at + 1] == c'-':
            skip_line_comment(lexer)
        elif kind == SLASH and lexer.at + 1 < lexer.n and lexer.text[lexer.at + 1] == c'*':
            lexer.at += 2
            skip_block_comment(lexer)
        else:
            return


cdef inline void skip_quoted(Lexer *lexer, unsigned char quote, bint escapes) noexcept:
    """From behind its opening quote; a doubled quote is one of its characters."""
    cdef unsigned char c
    while lexer.at < lexer.n:
        c = lexer.text[lexer.at]
        lexer.at += 1
        if c == quote:
            if lexer.at >= lexer.n or lexer.text[lexer.at] != quote:
                return
            lexer.at += 1
        elif c == c'\\' and quote == c"'":
            if escapes:
                lexer.at += lexer.at < lexer.n
            elif lexer.at < lexer.n and lexer.text[lexer.at] == quote:
                lexer.ambiguous = True


cdef inline Token skip_dollar(Lexer *lexer) noexcept:
    """$1, or a string between $tag$ and $tag$."""
    cdef Py_ssize_t at = lexer.at + 1, size
    cdef const unsigned char *found
    if at < lexer.n and KIND[lexer.text[at]] == DIGIT:
        while at < lexer.n and KIND[lexer.text[at]] == DIGIT:
            at += 1
        lexer.at = at
        return PARAMETER
    while at < lexer.n and (KIND[lexer.text[at]] == LETTER or (KIND[lexer.text[at]] == DIGIT and at > lexer.at + 1)):
        at += 1
    if at >= lexer.n or lexer.text[at] != c'$':
        lexer.at += 1
        return OTHER
    size = at + 1 - lexer.at
    at += 1
    while lexer.n - at >= size:
        found = <const unsigned char *>memchr(lexer.text + at, c'$', lexer.n - at - size + 1)
        if found is NULL:
            break
        at = found - lexer.text
        if memcmp(found, lexer.text + lexer.at, size) == 0:
            lexer.at = at + size
            return STRING
        at += 1
    lexer.at = lexer.n
    return STRING


cdef inline Token word_or_string(Lexer *lexer) noexcept:
    """An identifier or a keyword; or, with one of the prefixes, a string or a quoted identifier."""
    cdef const unsigned char *text = lexer.text
    cdef Py_ssize_t at = lexer.at, n = lexer.n
    cdef uint64_t value = 0xcbf29ce484222325ULL
    cdef unsigned char first
    while at < n and (KIND[text[at]] == LETTER or KIND[text[at]] == DIGIT or text[at] == c'$'):
        value = (value ^ LOWER[text[at]]) * 0x100000001b3ULL
        at += 1
    first = LOWER[text[lexer.at]]
    if at - lexer.at == 1 and at < n:
        if text[at] == c"'" and (first == c'e' or first == c'b' or first == c'x' or first == c'n'):
            lexer.at = at + 1
            skip_quoted(lexer, c"'", first == c'e')
            return STRING
        if first == c'u' and text[at] == c'&' and at + 1 < n and (text[at + 1] == c"'" or text[at + 1] == c'"'):
            lexer.at = at + 2
            skip_quoted(lexer, text[at + 1], False)
            lexer.hash = 0
            lexer.ambiguous |= text[at + 1] == c'"'   # its escapes may spell any word
            return STRING if text[at + 1] == c"'" else QUOTED_WORD
    lexer.at = at
    lexer.hash = value
    return WORD


cdef inline void skip_digits(Lexer *lexer, bint hexadecimal) noexcept:
    cdef unsigned char c
    while lexer.at < lexer.n:
        c = LOWER[lexer.text[lexer.at]]
        if KIND[c] == DIGIT or c == c'_' or (hexadecimal and c'a' <= c <= c'f'):
            lexer.at += 1
        else:
            return


cdef inline void skip_number(Lexer *lexer) noexcept:
    """0x1F, 0o17, 0b11, 1_000, 1.5, .5, 1e-5. Letters that are none of these begin a word, as they did before 15."""
    cdef const unsigned char *text = lexer.text
    cdef unsigned char base = LOWER[text[lexer.at + 1]] if lexer.at + 1 < lexer.n else 0
    cdef Py_ssize_t at
    if text[lexer.at] == c'0' and (base == c'x' or base == c'o' or base == c'b'):
        lexer.at += 2
        skip_digits(lexer, base == c'x')
        return
    skip_digits(lexer, False)
    if lexer.at < lexer.n and text[lexer.at] == c'.':
        lexer.at += 1
        skip_digits(lexer, False)
    at = lexer.at
    if at < lexer.n and LOWER[text[at]] == c'e':
        at += 1
        if at < lexer.n and (text[at] == c'+' or text[at] == c'-'):
            at += 1
        if at < lexer.n and KIND[text[at]] == DIGIT:
            lexer.at = at
            skip_digits(lexer, False)


cdef void start(Lexer *lexer, const unsigned char *text, Py_ssize_t n) noexcept:
    """A lexer at the beginning of a text."""
    lexer.text, lexer.n = text, n
    lexer.start = lexer.at = 0
    lexer.hash, lexer.ambiguous = 0, False


cdef Token next_token(Lexer *lexer) noexcept:
    """The next token, behind blanks and comments; END at the end of the text, or at a zero byte."""
    cdef unsigned char c, kind
    skip_blanks(lexer)
    lexer.start = lexer.at
    if lexer.at >= lexer.n:
        return END
    c = lexer.text[lexer.at]
    kind = KIND[c]
    if kind == LETTER:
        return word_or_string(lexer)
    if kind == DIGIT or (kind == POINT and lexer.at + 1 < lexer.n and KIND[lexer.text[lexer.at + 1]] == DIGIT):
        skip_number(lexer)
        return NUMBER
    if kind == QUOTE:
        lexer.at += 1
        skip_quoted(lexer, c"'", False)
        return STRING
    if kind == DOUBLE_QUOTE:
        lexer.at += 1
        skip_quoted(lexer, c'"', False)
        lexer.hash = hash_of(lexer.text + lexer.start + 1, lexer.at - lexer.start - 2)
        return QUOTED_WORD
    if kind == DOLLAR:
        return skip_dollar(lexer)
    if c == 0:
        return END
    lexer.at += 1
    return OTHER


# --- the glance -------------------------------------------------------------------------------------------------------

cdef uint64_t TRANSACTION = hash_of(b"transaction", 11)
cdef uint64_t PREPARE = hash_of(b"prepare", 7)


cdef inline int first_word(Vocabulary words, Lexer *lexer) noexcept:
    """What the first word of a statement says."""
    cdef uint64_t hash = lexer.hash
    cdef unsigned int bits = words.find(hash)
    cdef int seen = 0
    cdef Lexer ahead
    if hash == PREPARE:
        ahead = lexer[0]
        if next_token(&ahead) == WORD and ahead.hash == TRANSACTION:
            return COMMITS
    if not bits & FIRST or bits & FIRST_DOUBTFUL:
        seen |= DOUBTFUL
    if bits & FIRST_COMMITS:
        return COMMITS
    if not bits & FIRST_READS:
        seen |= WRITES
    if bits & FIRST_ENDS_NAMES:
        seen |= ENDS_NAMES
    return seen


cdef int glance(Vocabulary words, const unsigned char *sql, Py_ssize_t n) noexcept:
    """Sight bits of a query string of one or several statements."""
    cdef Lexer lexer
    cdef Token token
    cdef int seen = 0
    cdef bint first = True
    start(&lexer, sql, n)
    while True:
        token = next_token(&lexer)
        if token == WORD or token == QUOTED_WORD:
            if first:
                seen |= first_word(words, &lexer)
                first = False
            elif words.find(lexer.hash) & ANYWHERE:
                seen |= DOUBTFUL
        elif token == OTHER:
            if sql[lexer.start] == c';':
                first = True
        elif token == END:
            break
    return seen | (DOUBTFUL | AMBIGUOUS if lexer.ambiguous else 0)


def sight(Vocabulary words, bytes sql):
    """`glance` for tests: the names of the bits."""
    cdef int seen = glance(words, <const unsigned char *>PyBytes_AS_STRING(sql), PyBytes_GET_SIZE(sql))
    return frozenset(name for bit, name in ((DOUBTFUL, "doubtful"), (COMMITS, "commits"), (ENDS_NAMES, "ends_names"),
                                            (WRITES, "writes"),
                                            (AMBIGUOUS, "ambiguous")) if seen & bit)
