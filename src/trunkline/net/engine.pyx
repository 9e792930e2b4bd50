"""The epoll engine: one descriptor for the event loop, all sockets behind it.

The loop (uvloop or asyncio) watches the engine's own epoll descriptor with `add_reader`; when it is readable the
engine asks for up to `BATCH` events and calls each socket's owner in C. Compared with one `add_reader` a socket this
saves a handle, a context and a bound method for every client, and a Python call for every event.

Rules:
1. An exception in one owner ends that owner only (`on_failure`), never the batch.
2. After a batch the engine asks again, until nothing is ready or `ROUNDS` are over: the next events are often there by
   then, and a turn of the loop costs more than the question.
3. Events of a socket that was forgotten within the batch are dropped; a descriptor that was closed and opened anew
   within it may be woken for nothing, which every owner must bear (EAGAIN).
"""

import logging

from libc.errno cimport EINTR, errno
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec
from posix.unistd cimport close

cdef extern from "<sys/epoll.h>" nogil:
    enum:
        EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP, EPOLLRDHUP
        EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL, EPOLL_CLOEXEC
    ctypedef union epoll_data_t:
        int fd
    struct epoll_event:
        unsigned int events
        epoll_data_t data
    int epoll_create1(int flags)
    int epoll_ctl(int epfd, int op, int fd, epoll_event *event)
    int epoll_wait(int epfd, epoll_event *events, int maxevents, int timeout)

cdef enum:
    BATCH = 128
    ROUNDS = 16

log = logging.getLogger("trunkline.net")


cdef class Watched:
    """Something with a descriptor that an engine wakes."""

    def __cinit__(self):
        self.fd = -1

    cdef int on_events(self, unsigned int events) except -1:
        raise NotImplementedError

    cdef int on_failure(self, object error) except -1:
        """An exception left `on_events`: end this owner, quietly for all others."""
        raise NotImplementedError


cdef class Engine:
    """Wakes `Watched` objects; belongs to one event loop and one thread."""

    def __init__(self, loop):
        self.loop = loop
        self.by_fd = []
        self.epoll_fd = epoll_create1(EPOLL_CLOEXEC)
        if self.epoll_fd < 0:
            raise OSError(errno, "epoll_create1")
        loop.add_reader(self.epoll_fd, self.dispatch)
        self.now = self.time()

    def time(self):
        """Monotonic seconds."""
        cdef timespec moment
        clock_gettime(CLOCK_MONOTONIC, &moment)
        return moment.tv_sec + moment.tv_nsec * 1e-9

    def close(self):
        """Stop waking anyone; the sockets stay their owners'."""
        if self.epoll_fd >= 0:
            self.loop.remove_reader(self.epoll_fd)
            close(self.epoll_fd)
            self.epoll_fd = -1

    def dispatch(self):
        cdef int rounds
        for rounds in range(ROUNDS):
            if self._serve_batch() == 0:
                break

    cdef int _serve_batch(self) except -1:
        cdef epoll_event events[BATCH]
        cdef int i, n
        cdef timespec moment
        cdef Watched watched
        n = epoll_wait(self.epoll_fd, events, BATCH, 0)
        clock_gettime(CLOCK_MONOTONIC, &moment)
        self.now = moment.tv_sec + moment.tv_nsec * 1e-9
        if n < 0:
            if errno != EINTR:
                raise OSError(errno, "epoll_wait")
            return 0
        for i in range(n):
            watched = <Watched>self.by_fd[events[i].data.fd]
            if watched is None:
                continue
            try:
                watched.on_events(events[i].events)
            except Exception as error:
                self._contain(watched, error)
        return n

    def _contain(self, Watched watched, error):
        log.exception("internal error at %r", watched)
        try:
            watched.on_failure(error)
        except Exception:
            log.exception("while ending %r", watched)
            self.forget(watched)

    cdef int watch(self, Watched watched, unsigned int interest) except -1:
        cdef int missing = watched.fd + 1 - len(self.by_fd)
        if missing > 0:
            self.by_fd.extend([None] * max(missing, 64))
        self.by_fd[watched.fd] = watched
        return self._control(EPOLL_CTL_ADD, watched, interest)

    cdef int change(self, Watched watched, unsigned int interest) except -1:
        if watched.interest == interest:
            return 0
        return self._control(EPOLL_CTL_MOD, watched, interest)

    cdef int _control(self, int operation, Watched watched, unsigned int interest) except -1:
        cdef epoll_event event
        event.events = (EPOLLIN if interest & READ else 0) | (EPOLLOUT if interest & WRITE else 0)
        event.data.fd = watched.fd
        if epoll_ctl(self.epoll_fd, operation, watched.fd, &event) < 0:
            raise OSError(errno, "epoll_ctl")
        watched.interest = interest
        return 0

    cdef int forget(self, Watched watched) except -1:
        cdef epoll_event event
        if watched.fd >= 0 and watched.fd < len(self.by_fd) and self.by_fd[watched.fd] is watched:
            self.by_fd[watched.fd] = None
            epoll_ctl(self.epoll_fd, EPOLL_CTL_DEL, watched.fd, &event)
        return 0
