# Transactions that only read, at a replica: see read_only.pyx.
from trunkline.protocol.scanner cimport Frame
from trunkline.proxy.client cimport ClientLink
from trunkline.proxy.routed cimport Route

cdef bint begins_reads(ClientLink client, Route own, Frame *frame, const unsigned char *end) except -1
cdef bint only_reads(Route own) except -1
cdef bint goes_on_reading(Route own, int decision) except -1
cdef int note_end(Route own, Frame *frame) except -1
cdef object only_primary(Route own)
