"""The rows of a COPY FROM STDIN in binary format, put before the shards of their keys.

Rule: every length is checked against what is there; behind one that cannot be, all goes to the home shard, which says so.
"""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, int64_t, uint32_t
from libc.string cimport memcmp

from trunkline.execution.spread.copy_split cimport Field, Splitter, number_of
from trunkline.routing.keys.hashing cimport hash_bytes
from trunkline.routing.plans.evaluation cimport TEXT as TEXT_FAMILY, UUID as UUID_FAMILY

cdef enum:
    SIGNATURE_SIZE = 11, HEADER_SIZE = 19

cdef bytes SIGNATURE = b"PGCOPY\n\xff\r\n\0"


cdef class BinarySplitter(Splitter):
    """A header and the mark at the end go to every shard."""

    cdef bint broken

    def feed(self, bytes data):
        cdef Py_ssize_t done
        self.data += data
        done = self._binary()
        if done:
            del self.data[:done]

    def end(self):
        self._append(self.home, <const unsigned char *>PyByteArray_AS_STRING(self.data), len(self.data))
        self.data = bytearray()

    cdef Py_ssize_t _binary(self) except -1:
        """All whole rows; returns how many bytes they have."""
        cdef const unsigned char *data = <const unsigned char *>PyByteArray_AS_STRING(self.data)
        cdef Py_ssize_t n = PyByteArray_GET_SIZE(self.data), at = 0, end
        if not self.begun and not self.broken:
            if n < HEADER_SIZE or n - HEADER_SIZE < <Py_ssize_t>read_u32(data + 15):
                if n < SIGNATURE_SIZE or (n < HEADER_SIZE and memcmp(data, PyBytes_AS_STRING(SIGNATURE), SIGNATURE_SIZE) == 0):
                    return 0
                self.broken = memcmp(data, PyBytes_AS_STRING(SIGNATURE), SIGNATURE_SIZE) != 0 or data[15] >= 0x40
                if not self.broken:
                    return 0
            else:
                self.broken = memcmp(data, PyBytes_AS_STRING(SIGNATURE), SIGNATURE_SIZE) != 0
                if not self.broken:
                    self.begun = True
                    at = HEADER_SIZE + <Py_ssize_t>read_u32(data + 15)
                    self._everywhere(data, at)
        while at < n and not self.broken and not self.ended:
            end = self._tuple_end(data, at, n)
            if end < 0:
                return at
            if end == 0:
                self.broken = True
            elif self.ended:
                self._everywhere(data + at, end - at)
                at = end
            else:
                shard = self._binary_shard(data)
                self.log.note(shard, 0, 0)
                self.rows += 1
                if self.starts is not None:
                    self.starts.append(len(self.out[0]))
                self._append(shard, data + at, end - at)
                at = end
        if at < n and (self.broken or self.ended):
            self._append(self.home, data + at, n - at)
            at = n
        return at

    cdef Py_ssize_t _tuple_end(self, const unsigned char *data, Py_ssize_t at, Py_ssize_t n) noexcept:
        """Behind the row, whose key's fields are noted; -1 if more has to come, 0 if a length cannot be."""
        cdef int count, number, i
        cdef int32_t size
        if n - at < 2:
            return -1
        count = data[at] << 8 | data[at + 1]
        at += 2
        if count == 0xffff:
            self.ended = True
            return at
        for i in range(self.key_count):
            self.fields[i].found = False
        for number in range(count):
            if n - at < 4:
                return -1
            size = <int32_t>read_u32(data + at)
            at += 4
            if size < -1:
                return 0
            self._found(number, at, at + size if size >= 0 else -1, False)
            if size > n - at:
                return -1
            at += max(size, 0)
        return at

    cdef int _binary_shard(self, const unsigned char *data) except -1:
        cdef Field *field = &self.fields[0]
        cdef Py_ssize_t size = field.end - field.start
        cdef int64_t mask = -1
        for i in range(self.key_count):
            if not self.fields[i].found:
                return self.home
        if self.ready is not None and field.end >= 0:
            if self.ready.family == TEXT_FAMILY:
                mask = self.ready._of_text(data + field.start, size, False)
            elif self.ready.family == UUID_FAMILY:
                mask = self.ready._of_hash(hash_bytes(data + field.start, 16)) if size == 16 else -1
            elif size == 2 or size == 4 or size == 8:
                mask = self.ready._of_integer(signed_of(data + field.start, size))
        if mask < 0:
            mask = self._by_values(tuple([
                None if self.fields[i].end < 0 else PyBytes_FromStringAndSize(
                    <const char *>data + self.fields[i].start, self.fields[i].end - self.fields[i].start)
                for i in range(self.key_count)]))
        return number_of(mask, self.home)


cdef inline uint32_t read_u32(const unsigned char *at) noexcept:
    return <uint32_t>at[0] << 24 | <uint32_t>at[1] << 16 | <uint32_t>at[2] << 8 | at[3]


cdef inline int64_t signed_of(const unsigned char *at, Py_ssize_t n) noexcept:
    cdef int64_t value = -1 if at[0] >= 0x80 else 0
    cdef Py_ssize_t i
    for i in range(n):
        value = value * 256 + at[i]
    return value
