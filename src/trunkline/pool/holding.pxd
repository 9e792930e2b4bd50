# What of an answer is held back while its request may yet be asked elsewhere: see holding.pyx.
from trunkline.pool.server cimport ServerLink

cdef bint hold_back(ServerLink server, unsigned char *end, unsigned char **run) except -1
cdef int give_held(ServerLink server) except -1
