# Blocks of clients of databases with shards: see blocks.pyx.
from trunkline.protocol.scanner cimport Frame
from trunkline.protocol.server_session cimport ServerSession
from trunkline.proxy.client cimport ClientLink
from trunkline.proxy.routed cimport Route

cdef bint answer_block(ClientLink client, Route own, Frame *frame) except *
cdef bytes ready_without_server(Route own)
cdef bytes give_up_block(ClientLink client)
cdef int begin_block(ClientLink client, Route own) except -1
cdef int note_configured(ClientLink client, Route own, Frame *frame) except -1
cdef int note_history(ClientLink client, Route own, Frame *frame) except -1
cdef bint may_leave(ClientLink client, Route own, ServerSession session) noexcept
