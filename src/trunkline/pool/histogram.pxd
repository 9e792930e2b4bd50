# How long things took: see histogram.pyx.
from libc.stdint cimport uint64_t

cdef enum:
    PARTS = 8             # of each power of two
    HIGHEST = 35          # the last power of two microseconds: 9.5 hours; what takes longer is counted there
    BUCKETS = (HIGHEST - 1) * PARTS

cdef class Histogram:
    cdef uint64_t counts[BUCKETS]
    cdef readonly double sum_s
    cdef int record(self, double seconds) noexcept
