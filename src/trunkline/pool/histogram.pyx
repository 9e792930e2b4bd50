"""How long things took, counted in log-linear buckets of microseconds: a few instructions for each.

Each power of two is cut into eight equal parts, so what is read off is at most an eighth too long.
"""

from libc.stdint cimport uint64_t
from libc.string cimport memset

cdef extern from *:
    int __builtin_clzll(unsigned long long) noexcept nogil


cdef inline int bucket_of(double seconds) noexcept nogil:
    cdef uint64_t us
    cdef int power
    if not seconds > 0:  # the clock stands still while one chunk is served
        return 0
    if seconds >= <double>(<uint64_t>1 << (HIGHEST + 1)) / 1e6:
        return BUCKETS - 1
    us = <uint64_t>(seconds * 1e6)
    if us < PARTS:
        return <int>us
    power = 63 - __builtin_clzll(us)
    return (power - 2) * PARTS + <int>((us >> (power - 3)) & (PARTS - 1))


cdef uint64_t end_of(int bucket) noexcept:
    """The first microsecond behind it."""
    cdef int power
    if bucket < PARTS:
        return bucket + 1
    power = bucket // PARTS + 2
    return ((<uint64_t>1 << power) // PARTS) * (PARTS + bucket % PARTS + 1)


cdef class Histogram:
    """Counts by duration; `sum_s` is all of it, in seconds."""

    def __cinit__(self):
        memset(self.counts, 0, sizeof(self.counts))

    cdef int record(self, double seconds) noexcept:
        self.counts[bucket_of(seconds)] += 1
        self.sum_s += seconds
        return 0

    def note(self, double seconds):
        """`record` for Python callers."""
        self.record(seconds)

    def add(self, Histogram other, long long sign=1):
        """All of the other's too; with a sign of -1 without what was the other's."""
        cdef int i
        for i in range(BUCKETS):
            self.counts[i] += sign * other.counts[i]
        self.sum_s += sign * other.sum_s

    def add_at_once(self, uint64_t number):
        """So many that took no time at all."""
        self.counts[0] += number

    def counted(self):
        """What is in it, as (bucket, count) pairs, for another process."""
        cdef int i
        return [(i, self.counts[i]) for i in range(BUCKETS) if self.counts[i]]

    def add_counted(self, pairs, double sum_s):
        """All that another process's has."""
        cdef int i
        cdef uint64_t count
        for bucket, number in pairs:
            i, count = bucket, number
            if 0 <= i < BUCKETS:
                self.counts[i] += count
        self.sum_s += sum_s

    def copy(self):
        """One of its own, as it is now."""
        cdef Histogram made = Histogram()
        made.add(self)
        return made

    @property
    def count(self):
        """How many there were."""
        return self.below(0)

    def below(self, uint64_t limit_us):
        """How many took less than this, which is a power of two; 0 is no limit."""
        cdef uint64_t total = 0
        cdef int i
        for i in range(BUCKETS):
            if limit_us and end_of(i) > limit_us:
                break
            total += self.counts[i]
        return total

    def quantile_us(self, double share):
        """Microseconds within which this share of them was done; 0 if there were none."""
        cdef uint64_t total = self.below(0), passed = 0
        cdef int i
        for i in range(BUCKETS):
            passed += self.counts[i]
            if total and passed >= share * total:
                return end_of(i)
        return 0
