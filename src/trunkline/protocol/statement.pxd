cdef class Statement:
    cdef readonly bytes body          # of the Parse behind the name: query, parameter types
    cdef readonly bytes server_name
    cdef object __weakref__


cdef extern from "<strings.h>" nogil:
    int strncasecmp(const char *a, const char *b, size_t n)


cdef inline bint commits(const unsigned char *sql, Py_ssize_t n) noexcept:
    # begins with COMMIT, END or PREPARE TRANSACTION: when its answer is lost, so is the outcome of the transaction
    cdef const char *text = <const char *>sql
    while n > 0 and (text[0] == c' ' or text[0] == c'\n' or text[0] == c'\t' or text[0] == c'\r'):
        text, n = text + 1, n - 1
    return (n >= 6 and strncasecmp(text, b"commit", 6) == 0) or (n >= 3 and strncasecmp(text, b"end", 3) == 0) \
        or (n >= 9 and strncasecmp(text, b"prepare t", 9) == 0)
