"""A statement that is refused: answered here, or made to fail in the middle of what its client has under way.

Rule: what is refused at a server is made to fail there. A statement that fails goes in its place, and our words in the
place of that one's error, so that the server's own transaction ends with it.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from trunkline.pool.undo import Refused
from trunkline.protocol.messages import error_response, message, query

from trunkline.execution.router cimport Outcome
from trunkline.pool.prepared cimport begin
from trunkline.pool.server cimport ServerLink
from trunkline.protocol.scanner cimport Frame
from trunkline.protocol.server_session cimport BIND, FORWARD, QUERY
from trunkline.proxy.blocks cimport give_up_block
from trunkline.proxy.client cimport LOST, READY, REFUSED, ClientLink
from trunkline.proxy.routed cimport Route
from trunkline.proxy.steps cimport DONE

# No statement is called so, for a name that a client gives is replaced by one of ours.
cdef bytes FAILING_QUERY = query(b"trunkline has refused a statement")
cdef bytes FAILING_BIND = message(b"B", b"\0trunkline has refused a statement\0" + bytes(6))


cdef int refuse(ClientLink client, Route own, Frame *frame) except -1:
    """Without a server: one error, and what comes after one. A block that waited for a server has failed."""
    cdef bytes said = error_response(own.router.refusal), ready = give_up_block(client)
    own.router.count(own.known, own.outcome, -1)
    if frame.type == c'Q' or frame.type == c'F':
        said += ready
        client.state = READY if client.lost is None else LOST
    else:
        client.state = REFUSED
    client.write(said)
    return DONE


cdef int fail(ClientLink client, Frame *frame, error, Outcome outcome) except -1:
    """A statement that fails goes in the place of the one that is refused, and our words in the place of its error's."""
    cdef ServerLink server = client.server
    cdef bint simple = frame.type == c'Q' or frame.type == c'F'
    cdef bytes asked = FAILING_QUERY if simple else FAILING_BIND
    cdef Route own = client.route
    own.router.count(own.known, outcome, -1)
    server.close_needed |= simple and server.session.in_batch()
    begin(client)
    server.session.expect(QUERY if simple else BIND, FORWARD, Refused(error_response(error)))
    server.retain(asked)
    server.gather(<unsigned char *>PyBytes_AS_STRING(asked), PyBytes_GET_SIZE(asked))
    if simple:
        client.unnamed = server.unnamed = None
    return DONE
