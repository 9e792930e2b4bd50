# Requests of the extended protocol that speak of statements: the C side of the contract in prepared.pyx.
from trunkline.pool.server cimport Lessee, ServerLink
from trunkline.protocol.scanner cimport Frame
from trunkline.protocol.server_session cimport FORWARD, Request
from trunkline.protocol.statement cimport Statement
from trunkline.routing.text.lexer cimport AMBIGUOUS, COMMITS, DOUBTFUL, WRITES, Vocabulary, glance

cdef enum:
    UNSEEN = DOUBTFUL | COMMITS | WRITES | AMBIGUOUS   # the sight of a text that is not all here


cdef inline int see(Lessee client, Frame *frame, Py_ssize_t start) noexcept:
    """What the query string at an offset of a frame shows at a glance."""
    if frame.have < frame.size:
        return UNSEEN
    return glance(client.server.owner.words, frame.data + start, frame.size - start)


cdef inline long long current_unit(ServerLink server) noexcept:
    """The number of the unit that a request of now is in; requests that an error dropped have had theirs too."""
    return server.units_done + server.session.dropped_units + server.session.units


cdef inline int begin(Lessee client) except -1:
    """A request is about to go out: the clock of the query starts if none is under way."""
    cdef ServerLink server = client.server
    if server.session.count == 0:
        server.request_at = client.engine.now
        if client.sticky and server.session.is_free():
            server.begun_at = server.request_at
    return 0


cdef inline int extended(Lessee client, Frame *frame, Request request, object note) except -1:
    """A request that goes to the server as it is."""
    begin(client)
    client.server.session.expect(request, FORWARD, note)
    client.passing = True
    return client.server.gather(frame.data, frame.have)


cdef int ensure_prepared(ServerLink server, Statement statement) except -1
cdef int send_parse(ServerLink server, bytes name, const unsigned char *body, Py_ssize_t n, Py_ssize_t rest=*) except -1
cdef object unnamed_before(Lessee client)
cdef int make_room(ServerLink server, Py_ssize_t more) except -1
cdef int pass_parse(Lessee client, bytes name, Frame *frame, Py_ssize_t start) except -1
cdef bint hangs_on_answers(ServerLink server, Frame *frame) noexcept
cdef int parse(Lessee client, Frame *frame) except -1
cdef int bind(Lessee client, Frame *frame) except -1
cdef int describe(Lessee client, Frame *frame) except -1
cdef int close(Lessee client, Frame *frame) except -1
