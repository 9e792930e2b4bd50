# Statements that are refused: see refusing.pyx.
from trunkline.execution.router cimport Outcome
from trunkline.protocol.scanner cimport Frame
from trunkline.proxy.client cimport ClientLink
from trunkline.proxy.routed cimport Route

cdef int refuse(ClientLink client, Route own, Frame *frame) except -1
cdef int fail(ClientLink client, Frame *frame, error, Outcome outcome) except -1
