# What is asked of a text as it comes, before anything is known of it.
from libc.string cimport memchr



cdef inline bint has_high_byte(const unsigned char *text, Py_ssize_t n) noexcept:
    cdef Py_ssize_t i
    for i in range(n):
        if text[i] >= 128:
            return True
    return False


cdef inline Py_ssize_t length(const unsigned char *text, Py_ssize_t n) noexcept:
    """Of a zero-terminated text, within n bytes."""
    cdef const unsigned char *end = <const unsigned char *>memchr(text, 0, n)
    return n if end == NULL else end - text
