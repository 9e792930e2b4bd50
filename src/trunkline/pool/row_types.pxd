# What a client was told that its statement returns: the C side of the contract in row_types.pyx.
from trunkline.pool.server cimport Lessee, ServerLink
from trunkline.protocol.scanner cimport Frame
from trunkline.protocol.statement cimport Statement

cdef enum Promise:
    KEPT       # the server returns what the client was told, or nobody was told anything
    ASKED      # it is being asked; the request comes again
    CHANGED    # it returns something else


cdef inline bint is_doubtful(ServerLink server, Statement statement):
    """Whether this server may return something else than what clients were told."""
    return statement.row_types is not None and (statement.changed or statement not in server.prepared)


cdef Promise look_again(Lessee client, Statement statement) except *
cdef int on_description(ServerLink server, Frame *frame, object note, bint ours) except -1
