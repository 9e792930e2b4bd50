# From the relay to a session over several shards, and back: see handing.pyx.
from trunkline.protocol.scanner cimport Frame
from trunkline.proxy.client cimport ClientLink
from trunkline.proxy.routed cimport Route

cdef bint may_be_handed_over(ClientLink client, Route own, Frame *frame) except -1
cdef bint goes_over(ClientLink client, Route own, Frame *frame, int decision) except -1
cdef bint comes_again(ClientLink client, Route own) except -1
cdef int hand_over(ClientLink client, Route own, Frame *frame) except -1
cdef int note_beginning(Route own) except -1
cdef int left_to_server(ClientLink client, Route own) except? -99
