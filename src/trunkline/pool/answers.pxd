# What is looked into of a server's replies: see answers.pyx.
from trunkline.pool.server cimport ServerLink
from trunkline.protocol.scanner cimport Frame

cdef int say_fakes(ServerLink server) except -1
cdef int say_fakes_now(ServerLink server) except -1
cdef int look_into(ServerLink server, Frame *frame, object note, bint ours, unsigned char **run) except -1
