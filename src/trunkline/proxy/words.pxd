# Statements that the proxy has a part in: see words.pyx.
from trunkline.protocol.scanner cimport Frame
from trunkline.proxy.client cimport ClientLink
from trunkline.proxy.routed cimport Route

cdef bint is_located(ClientLink client) except -1
cdef int behind_position(ClientLink client, Route own, Frame *frame, const unsigned char *end) except -1
cdef bytes in_place(Frame *frame, bytes sql)
cdef int say_own(ClientLink client, Route own, Frame *frame) except -1
cdef int take_instead(ClientLink client, Frame *frame, int step) except -1
cdef int raise_to(Route own, str said) except -1
cdef int take_settings(ClientLink client, Route own) except -1
