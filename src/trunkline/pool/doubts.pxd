# Texts that may change a session, on their way: see doubts.pyx.
from trunkline.pool.server cimport Lessee
from trunkline.protocol.scanner cimport Frame
from trunkline.protocol.statement cimport Statement

cdef int bind_statement(Lessee client, Statement statement, Frame *frame) except -1
cdef bytes text_of(Frame *frame, Py_ssize_t start)
cdef int prepare_doubtful(Lessee client, Frame *frame, Py_ssize_t start, int sight) except -1
cdef int run_doubtful(Lessee client, bytes text, int sight, Frame *frame) except -1
