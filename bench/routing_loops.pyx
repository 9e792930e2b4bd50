"""Loops in C around what compiled code calls: Python's own loop would cost more than what is measured."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

from trunkline.routing.plans.call cimport Call
from trunkline.routing.plans.evaluation cimport ReadyPlan
from trunkline.routing.text.fingerprint cimport Fingerprint
from trunkline.routing.keys.hashing cimport combine, hash_bytes, hash_int8
from trunkline.routing.plans.plan_cache cimport PlanCache


def hash_int8_keys(int64_t count):
    """Rows with one int8; each key depends on the hash before, so that none is begun before that is known."""
    cdef uint64_t row = 0
    cdef int64_t i
    for i in range(count):
        row = combine(0, hash_int8(<int64_t>row + i))
    return row


def hash_uuid_keys(int64_t count):
    """As `hash_int8_keys`, with a uuid."""
    cdef unsigned char raw[16]
    cdef uint64_t row = 0
    cdef int64_t i
    memcpy(raw, b"0123456789abcdef", 16)
    for i in range(count):
        memcpy(raw, &row, 8)
        row = combine(0, hash_bytes(raw, 16))
    return row


def read_texts(bytes text, int64_t count):
    """The key of a text and the places of its literals."""
    cdef Fingerprint found = Fingerprint()
    cdef const unsigned char *at = <const unsigned char *>PyBytes_AS_STRING(text)
    cdef int64_t i
    for i in range(count):
        found.scan(at, PyBytes_GET_SIZE(text), True)


def route_texts(PlanCache cache, bytes text, int64_t count):
    """From a text to its mask: its key, what is known of it, and the value of its literal."""
    cdef Fingerprint found = Fingerprint()
    cdef Call call = Call()
    cdef const unsigned char *at = <const unsigned char *>PyBytes_AS_STRING(text)
    cdef int64_t i, masks = 0
    for i in range(count):
        found.scan(at, PyBytes_GET_SIZE(text), True)
        call.speak(found, at)
        masks |= cache.find(found, at, 0).ready.evaluate(call)
    return masks


def route_binds(ReadyPlan ready, bytes bind, int64_t count):
    """From a Bind's parameters to the mask of a plan that is known."""
    cdef Call call = Call()
    cdef const unsigned char *at = <const unsigned char *>PyBytes_AS_STRING(bind)
    cdef int64_t i, masks = 0
    for i in range(count):
        call.bind(at, PyBytes_GET_SIZE(bind))
        masks |= ready.evaluate(call)
    return masks
