# The router of a database without shards whose reads are split: see whole.pyx.
from trunkline.execution.router cimport Context, Router

cdef class WholeRouter(Router):
    cdef bytes said_text(self)
    cdef int _of(self, const unsigned char *text, Py_ssize_t n, Context context) except? -99
