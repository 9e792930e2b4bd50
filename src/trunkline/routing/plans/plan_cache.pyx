"""From a text to what is known of it, without parsing: the plans of templates, least recently used gone first.

Theory of operation. An `Entry` is for one key and context: a small number of the caller's for what else a plan depends
on, such as a search_path. Most entries have one plan; where the plan depends on some of the literals (`RoutePlan.fixed`:
the 2 of ORDER BY 2), there is one for each of their texts, and each says which literals it depends on. What is known
stands in a `Known`, which the caller may keep for as long as he likes, also when it is of no text that can be kept.

Rules:
1. A hit allocates nothing.
2. What is home's without a table in it, as what does not parse is, is not kept: a text with the same key may parse.
3. When the schema changes, the caller clears.
"""

import sys
from dataclasses import fields, is_dataclass
from enum import Enum

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject
from libc.string cimport memcmp

from trunkline.routing.plans.plan import Verdict

from trunkline.routing.plans.evaluation cimport ReadyPlan
from trunkline.routing.text.fingerprint cimport Fingerprint, Span, readable

cdef enum:
    MAX_VARIANTS = 32            # plans of one entry, each for other texts of literals
    OVERHEAD = 400               # of an entry and a plan, beside what `size_of` finds

cdef object HOME = Verdict.HOME
cdef object ROUTED = Verdict.ROUTED
DEFAULT_CAPACITY, DEFAULT_MAX_BYTES = 10_000, 18_000_000  # so many bytes of objects, and 20 MB in all


cdef class Known:
    """What is known of texts with one key, and one text each for some of their literals."""

    def __cinit__(self, ReadyPlan ready, note, Fingerprint found, bytes text):
        cdef list ordinals = sorted({found.ordinal_of(at) for at in ready.plan.fixed if at >= 0} - {found.count})
        cdef list parts = [text[found.spans[<Py_ssize_t>one].start : found.spans[<Py_ssize_t>one].end] for one in ordinals]
        cdef Py_ssize_t i, start = 0
        self.ready, self.note, self.texts = ready, note, b"".join(parts)
        self.readable = not ready.plan.primary
        self.block_readable = not ready.plan.always_primary
        self.routed = ready.plan.verdict is ROUTED and ready.plan.draws is None and ready.plan.keeps is None
        self.advances = bool(ready.plan.ids)
        self.fixed = <FixedLiteral *>PyMem_Malloc(max(1, len(ordinals)) * sizeof(FixedLiteral))
        if self.fixed is NULL:
            raise MemoryError
        self.fixed_count = len(ordinals)
        for i in range(self.fixed_count):
            self.fixed[i].ordinal, self.fixed[i].start, self.fixed[i].size = ordinals[i], start, len(parts[i])
            start += len(parts[i])

    def __dealloc__(self):
        PyMem_Free(self.fixed)

    cdef bint fits(self, Fingerprint found, const unsigned char *text) noexcept:
        """Whether a text with its entry's key is one of its texts."""
        cdef const char *texts = PyBytes_AS_STRING(self.texts)
        cdef FixedLiteral *fixed
        cdef Span *span
        cdef Py_ssize_t i
        for i in range(self.fixed_count):
            fixed = &self.fixed[i]
            span = &found.spans[fixed.ordinal]
            if span.end - span.start != fixed.size or memcmp(text + span.start, texts + fixed.start, fixed.size) != 0:
                return False
        return True


cdef class Entry:
    """All that is known of one key in one context."""

    @property
    def template(self):
        return readable(<const unsigned char *>PyBytes_AS_STRING(self.key), PyBytes_GET_SIZE(self.key))

    @property
    def plan(self):
        """The one that was used last."""
        return self.first.ready.plan

    @property
    def variants(self):
        cdef Known known = self.first
        found = []
        while known is not None:
            found.append(known)
            known = known.next
        return found

    @property
    def calls(self):
        return self.past_calls + sum([known.calls for known in self.variants])

    @property
    def time_s(self):
        return self.past_time_s + sum([known.time_s for known in self.variants])

    @property
    def shards(self):
        found = self.past_shards
        for known in self.variants:
            found |= known.shards
        return found

    def _forget_last(self):
        """The variant that has not been used for longest; returns its size."""
        cdef Known known = self.first, last
        while known.next.next is not None:
            known = known.next
        last, known.next = known.next, None
        self.past_calls += last.calls
        self.past_time_s += last.time_s
        self.past_shards |= last.shards
        return last.size


cdef class PlanCache:
    """Bounded in entries and in bytes."""

    def __cinit__(self, Py_ssize_t capacity=DEFAULT_CAPACITY, Py_ssize_t max_bytes=DEFAULT_MAX_BYTES):
        cdef uint64_t size = 64
        self.capacity, self.max_bytes = capacity, max_bytes
        while size < <uint64_t>capacity:
            size *= 2
        self.mask = size - 1
        self.table = <PyObject **>PyMem_Calloc(size, sizeof(PyObject *))
        if self.table is NULL:
            raise MemoryError

    def __dealloc__(self):
        if self.table is not NULL:
            self.clear()
            PyMem_Free(self.table)

    def __len__(self):
        return self.entries

    cdef Known find(self, Fingerprint found, const unsigned char *text, int64_t context):
        """What is known of the text that was scanned last, or None; it counts as used."""
        cdef Entry entry = self._entry(found, context) if found.cacheable else None
        cdef Known known, before = None
        if entry is not None:
            known = entry.first
            while known is not None:
                if known.fits(found, text):
                    if before is not None:
                        before.next, known.next, entry.first = known.next, entry.first, known
                    if <PyObject *>entry != self.newest:
                        self._unlink(entry)
                        self._link(entry)
                    self.hits += 1
                    return known
                before, known = known, known.next
        self.misses += 1
        return None

    def get(self, Fingerprint found, bytes text, int64_t context=0):
        """`find` for Python."""
        return self.find(found, <const unsigned char *>PyBytes_AS_STRING(text), context)

    def put(self, Fingerprint found, bytes text, plan, int64_t context=0, note=None):
        """Know this from now on of all texts like this one, which `found` has just read; returns what to use for it."""
        cdef Known known = Known(ReadyPlan(plan, found, text), note, found, text)
        cdef Entry entry
        if not found.cacheable or (plan.verdict is HOME and not plan.occurrences):
            return known
        known.size = OVERHEAD + found.key_bytes + size_of((known.texts, plan, note, known.ready.places))
        if known.size > self.max_bytes // 16:
            return known
        entry = self._entry(found, context)
        if entry is None:
            entry = Entry.__new__(Entry)
            entry.key = PyBytes_FromStringAndSize(<char *>found.key, found.key_bytes)
            entry.hash, entry.context = mixed(found.hash, context), context
            self._enter(entry)
        known.next, entry.first = entry.first, known
        self.used_bytes += known.size
        if len(entry.variants) > MAX_VARIANTS:
            self.used_bytes -= entry._forget_last()
        while self.entries > self.capacity or (self.used_bytes > self.max_bytes and self.oldest != <PyObject *>entry):
            self.evictions += 1
            self._remove(<Entry>self.oldest)
        return known

    def clear(self):
        """Know nothing: the plans are no longer true."""
        while self.oldest is not NULL:
            self._remove(<Entry>self.oldest)

    def by_use(self):
        """All entries, the one that was used last first."""
        cdef PyObject *entry = self.newest
        found = []
        while entry is not NULL:
            found.append(<Entry>entry)
            entry = (<Entry>entry).older
        return found

    cdef Entry _entry(self, Fingerprint found, int64_t context):
        cdef uint64_t hash = mixed(found.hash, context)
        cdef PyObject *at = self.table[hash & self.mask]
        cdef Entry entry
        while at is not NULL:
            entry = <Entry>at
            if (entry.hash == hash and entry.context == context and PyBytes_GET_SIZE(entry.key) == found.key_bytes
                    and memcmp(PyBytes_AS_STRING(entry.key), found.key, found.key_bytes) == 0):
                return entry
            at = entry.beside
        return None

    cdef int _enter(self, Entry entry) except -1:
        cdef PyObject **place = &self.table[entry.hash & self.mask]
        entry.beside, place[0] = place[0], <PyObject *>entry
        Py_INCREF(entry)
        self._link(entry)
        self.entries += 1
        return 0

    cdef int _remove(self, Entry entry) except -1:
        cdef PyObject **place = &self.table[entry.hash & self.mask]
        cdef Known known = entry.first
        while place[0] != <PyObject *>entry:
            place = &(<Entry>place[0]).beside
        place[0] = entry.beside
        while known is not None:
            self.used_bytes -= known.size
            known = known.next
        self._unlink(entry)
        self.entries -= 1
        Py_DECREF(entry)
        return 0

    cdef void _link(self, Entry entry) noexcept:
        """As the one that was used last."""
        entry.newer, entry.older = NULL, self.newest
        if self.newest is NULL:
            self.oldest = <PyObject *>entry
        else:
            (<Entry>self.newest).newer = <PyObject *>entry
        self.newest = <PyObject *>entry

    cdef void _unlink(self, Entry entry) noexcept:
        if entry.newer is NULL:
            self.newest = entry.older
        else:
            (<Entry>entry.newer).older = entry.older
        if entry.older is NULL:
            self.oldest = entry.newer
        else:
            (<Entry>entry.older).newer = entry.newer


cdef inline uint64_t mixed(uint64_t hash, int64_t context) noexcept:
    return hash ^ (<uint64_t>context * 0x9e3779b97f4a7c15ULL)


cdef dict _own_fields = {}  # by class: those that are not shared


cdef own_fields(made_of):
    names = _own_fields.get(made_of)
    if names is None:
        names = [field.name for field in fields(made_of) if "shared" not in field.metadata]
        _own_fields[made_of] = names
    return names


def size_of(something):
    """The bytes of plain data and all that is in it; what is shared by many (shard functions, names) counts nothing."""
    todo, seen, size = [something], set(), 0
    while todo:
        one = todo.pop()
        if not one or isinstance(one, (bool, Enum, type)) or hasattr(one, "shards_of") or id(one) in seen:
            continue  # of empty things there is one
        seen.add(id(one))
        size += sys.getsizeof(one)
        if is_dataclass(one):
            todo.extend([getattr(one, name) for name in own_fields(type(one))])
        elif isinstance(one, dict):
            todo.extend((*one.keys(), *one.values()))
        elif isinstance(one, (tuple, list, frozenset, set)):
            todo.extend(one)
    return size
