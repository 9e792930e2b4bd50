"""Place: a list that a socket is in; state is place.

A link is in one `Place` at most, and SHOW and metrics read the places: so they cannot drift from the truth.
"""

from trunkline.net.engine cimport Watched


cdef class Placed(Watched):
    """Something that can be in a `Place`: the list is linked through it."""


cdef class Place:
    """A first-in, first-out list of links, linked through the links themselves: O(1) in and out of the middle."""

    def __init__(self, name):
        self.name = name

    cdef int add(self, Placed link) except -1:
        link.place = self
        link.previous = self.last
        link.following = None
        if self.last is None:
            self.first = link
        else:
            self.last.following = link
        self.last = link
        self.count += 1
        return 0

    cdef int add_first(self, Placed link) except -1:
        link.place = self
        link.following = self.first
        link.previous = None
        if self.first is None:
            self.last = link
        else:
            self.first.previous = link
        self.first = link
        self.count += 1
        return 0

    cdef int remove(self, Placed link) except -1:
        if link.previous is None:
            self.first = link.following
        else:
            link.previous.following = link.following
        if link.following is None:
            self.last = link.previous
        else:
            link.following.previous = link.previous
        link.previous = link.following = link.place = None
        self.count -= 1
        return 0

    def __len__(self):
        return self.count

    def __iter__(self):
        """A snapshot, so that links may move while it is walked."""
        cdef Placed link = self.first
        links = []
        while link is not None:
            links.append(link)
            link = link.following
        return iter(links)

    def __repr__(self):
        return f"<Place {self.name} {self.count}>"
