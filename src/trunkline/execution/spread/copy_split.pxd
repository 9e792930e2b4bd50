# The rows of a COPY FROM STDIN: the C side of the contract in copy_split.pyi.
from libc.stdint cimport int64_t, uint32_t

from trunkline.execution.spread.copy_log cimport Log
from trunkline.routing.plans.evaluation cimport ReadyPlan

cdef enum:
    MAX_KEYS = 8             # columns of a key

cdef struct Field:
    Py_ssize_t start, end    # an end of -1: NULL
    bint found, quoted

cdef class Splitter:
    cdef int form, end_of_line, key_count, last_key
    cdef Py_ssize_t scan                 # from here on the next row's end is looked for
    cdef bint in_quote, escaped          # where the scan is
    cdef bint header, forced_null, forced_not_null
    cdef bint has_marker                 # a line with it alone ends the data
    cdef bint begun                      # the header is behind
    cdef bint ended                      # by a marker in the data
    cdef unsigned char delimiter, quote, escape
    cdef bytes null
    cdef object default
    cdef object moments                  # who knows words that mean the time (copy_moments.Moments), or None
    cdef bint looks                      # there may be one
    cdef bytearray data                  # what has come and is no whole row
    cdef list out                        # what each shard gets next
    cdef int shards, home, first         # first: the shard of the first row
    cdef uint32_t extra                  # newlines within the row that is being read
    cdef int keys[MAX_KEYS]              # places of the key's columns
    cdef Field fields[MAX_KEYS]          # of the row that is looked at
    cdef ReadyPlan ready                 # None: only `place` finds the shard
    cdef object place
    cdef dict places                     # what it has said
    cdef Log log
    cdef int64_t every
    cdef readonly Py_ssize_t rows
    cdef public list starts              # of the rows, in what the first shard gets next; None: nobody wants to know

    cdef int _append(self, int shard, const unsigned char *row, Py_ssize_t n) except -1
    cdef int _everywhere(self, const unsigned char *row, Py_ssize_t n) except -1
    cdef Py_ssize_t _lines(self, bint last) except -1
    cdef Py_ssize_t _text_end(self, const unsigned char *data, Py_ssize_t start, Py_ssize_t n) noexcept
    cdef Py_ssize_t _csv_end(self, const unsigned char *data, Py_ssize_t n) noexcept
    cdef int _row(self, const unsigned char *row, Py_ssize_t n, bint unfinished) except -1
    cdef bint _ends_oddly(self, const unsigned char *row, Py_ssize_t body, bint unfinished) except -1
    cdef int _shard(self, const unsigned char *row, Py_ssize_t n) except -1
    cdef bint _is_plain(self, const unsigned char *at, Py_ssize_t n) noexcept
    cdef bint _is_null(self, const unsigned char *at, Py_ssize_t n) noexcept
    cdef object _value(self, const unsigned char *row, Field *field)
    cdef void _found(self, int number, Py_ssize_t start, Py_ssize_t end, bint quoted) noexcept
    cdef void _text_fields(self, const unsigned char *row, Py_ssize_t n) noexcept
    cdef void _csv_fields(self, const unsigned char *row, Py_ssize_t n) noexcept

cdef int number_of(int64_t mask, int home) noexcept
