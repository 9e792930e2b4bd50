# How sockets wake their owners; Links use it without knowing which engine it is.

cdef enum Interest:
    READ = 1
    WRITE = 2

cdef class Watched:
    cdef readonly int fd
    cdef unsigned int interest
    cdef int on_events(self, unsigned int events) except -1
    cdef int on_failure(self, object error) except -1

cdef class Engine:
    cdef object loop
    cdef int epoll_fd
    cdef list by_fd
    cdef double now
    cdef int watch(self, Watched watched, unsigned int interest) except -1
    cdef int change(self, Watched watched, unsigned int interest) except -1
    cdef int forget(self, Watched watched) except -1
    cdef int _serve_batch(self) except -1
    cdef int _control(self, int operation, Watched watched, unsigned int interest) except -1
