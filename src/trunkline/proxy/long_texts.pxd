# Long statements, planned in a thread: see long_texts.pyx.
from trunkline.proxy.client cimport ClientLink
from trunkline.proxy.routed cimport Route

cdef int begin_again(Route own) except -1
cdef int wait_for_plan(ClientLink client, Route own) except -1
cdef int leave_to_plan(ClientLink client, Route own) except -1
cdef int await_catalog(Route own, int decision) except? -99
