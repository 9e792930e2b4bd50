# Reads of a client whose database has replicas: see reads.pyx.
from trunkline.protocol.scanner cimport Frame
from trunkline.proxy.client cimport ClientLink
from trunkline.proxy.routed cimport Route

cdef enum:
    NOT_A_READ = -98

cdef int read_at(ClientLink client, Route own, Frame *frame, const unsigned char *end) except? -99
cdef bint go_to_replica(ClientLink client, Route own) except -1
cdef int note_write(ClientLink client, Route own) except -1
cdef int forget_positions(Route own) except -1
cdef bint leave_replica(ClientLink client, error) except -1
cdef int note_end_of_write(ClientLink client, Route own, position) except -1
cdef int stay_at_replica(ClientLink client, Route own, Frame *frame, const unsigned char *end) except -1
