cdef class Statement:
    cdef readonly bytes body          # of the Parse behind the name: query, parameter types
    cdef readonly bytes server_name
    cdef object __weakref__


cdef extern from "<strings.h>" nogil:
    int strncasecmp(const char *a, const char *b, size_t n)


cdef inline Py_ssize_t blanks(const char *text, Py_ssize_t n) noexcept:
    # how many white characters it begins with
    cdef Py_ssize_t count = 0
    while count < n and (text[count] == c' ' or text[count] == c'\n' or text[count] == c'\t' or text[count] == c'\r'):
        count += 1
    return count


cdef inline bint ends_names(const unsigned char *sql, Py_ssize_t n) noexcept:
    # begins with DEALLOCATE or DISCARD: what prepared statements there are is known only when it has run
    cdef const char *text = <const char *>sql
    cdef Py_ssize_t skipped = blanks(text, n)
    text, n = text + skipped, n - skipped
    if n < 7 or (text[0] | 32) != c'd':
        return False
    return strncasecmp(text, b"discard", 7) == 0 or (n >= 10 and strncasecmp(text, b"deallocate", 10) == 0)


cdef inline bint commits(const unsigned char *sql, Py_ssize_t n) noexcept:
    # begins with COMMIT, END or PREPARE TRANSACTION: when its answer is lost, so is the outcome of the transaction
    cdef const char *text = <const char *>sql
    cdef Py_ssize_t skipped = blanks(text, n)
    text, n = text + skipped, n - skipped
    return (n >= 6 and strncasecmp(text, b"commit", 6) == 0) or (n >= 3 and strncasecmp(text, b"end", 3) == 0) \
        or (n >= 9 and strncasecmp(text, b"prepare t", 9) == 0)
