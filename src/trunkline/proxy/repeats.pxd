# Reads that are asked again elsewhere: see repeats.pyx.
from trunkline.proxy.client cimport ClientLink
from trunkline.proxy.routed cimport Route
from trunkline.pool.server cimport ServerLink

cdef int keep(ClientLink client, Route own, const unsigned char *start) except -1
cdef bint may_ask_again(ClientLink client, Route own, ServerLink server, bytes said) except -1
cdef bint repeat_lost(ClientLink client, Route own, ServerLink server) except -1
cdef int ask_elsewhere(ClientLink client, Route own, ServerLink server) except -1
cdef int unit_passed(Route own) except -1
