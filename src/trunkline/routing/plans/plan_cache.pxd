# What is known of texts, by their keys: the C side of the contract in plan_cache.pyx.
from cpython.ref cimport PyObject
from libc.stdint cimport int64_t, uint32_t, uint64_t

from trunkline.routing.plans.evaluation cimport ReadyPlan
from trunkline.routing.text.fingerprint cimport Fingerprint

cdef struct FixedLiteral:        # whose text a plan depends on
    uint32_t ordinal
    uint32_t start               # in Known.texts
    uint32_t size

cdef class Known:
    cdef readonly ReadyPlan ready
    cdef readonly bint readable          # a replica may answer it
    cdef public bint writes              # a replica has refused it for that, whatever the catalog says
    cdef readonly bint block_readable    # or it may in a READ ONLY transaction
    cdef readonly bint routed            # its keys alone say where it goes
    cdef readonly bint advances          # a server that runs it advances sequences by itself
    cdef public bint special             # the caller has a part in its answer
    cdef readonly object note            # whatever else the caller knows of such a text
    cdef public unsigned long long calls # the caller counts, as the next two
    cdef public double time_s
    cdef public uint64_t shards          # a bit for each that it went to
    cdef FixedLiteral *fixed
    cdef Py_ssize_t fixed_count
    cdef bytes texts
    cdef Py_ssize_t size                 # in bytes, all told
    cdef Known next                      # of the same entry

    cdef bint fits(self, Fingerprint found, const unsigned char *text) noexcept

cdef class Entry:
    cdef bytes key
    cdef uint64_t hash
    cdef readonly int64_t context
    cdef Known first                     # the one that was used last
    cdef unsigned long long past_calls   # of those that are no more known
    cdef double past_time_s
    cdef uint64_t past_shards
    cdef PyObject *beside                # the next Entry at its place of the table
    cdef PyObject *newer                 # in the order of their use
    cdef PyObject *older

cdef class PlanCache:
    cdef PyObject **table                # owns its entries
    cdef uint64_t mask
    cdef PyObject *newest
    cdef PyObject *oldest
    cdef readonly Py_ssize_t capacity, max_bytes
    cdef readonly Py_ssize_t entries, used_bytes
    cdef readonly unsigned long long hits, misses, evictions

    cdef Known find(self, Fingerprint found, const unsigned char *text, int64_t context)
    cdef Entry _entry(self, Fingerprint found, int64_t context)
    cdef int _enter(self, Entry entry) except -1
    cdef int _remove(self, Entry entry) except -1
    cdef void _link(self, Entry entry) noexcept
    cdef void _unlink(self, Entry entry) noexcept
