# The step of a client's frame: see steps.pyx.
from trunkline.protocol.scanner cimport Frame
from trunkline.proxy.client cimport ClientLink

cdef enum:           # what a step answers
    DONE
    WAIT             # keep this frame and all behind it
    OVER             # this client is finished

cdef int take_leased(ClientLink client, Frame *frame, int step) except -1
cdef int take_step(ClientLink client, Frame *frame) except -1
