"""Prepared statements under one name for all clients: equal text and parameter types are one `Statement`.

Each client has its own names; a server knows a statement by a name of ours. Two clients of a database that prepare the
same text under any names share it if their sessions would understand it alike (`Params.meaning`: its names and its
literals are looked up when it is prepared), and so a server prepares it once. A statement lives as long as a client or a server has it.

Plans that were made before some DDL may be refused after it, to their own clients: nobody who prepares the text
afterwards shares them.
"""

from weakref import WeakValueDictionary

_interned = WeakValueDictionary()
cdef unsigned long long last = 0
cdef dict generations = {}   # by database: counts the DDL that has run there


cdef class Statement:
    """Interned by `intern`; compared by identity."""

    def __init__(self, bytes body, bytes server_name, frozenset meaning=None):
        self.body = body
        self.server_name = server_name
        self.meaning = meaning

    def __repr__(self):
        return f"<Statement {self.server_name.decode()} {self.body[:40]!r}>"


def unshared():
    """A statement of one client alone, whose body is not here yet."""
    global last
    last += 1
    return Statement(b"", b"trunkline_%x" % last)


def intern(bytes body, frozenset meaning=frozenset(), str database=""):
    """The statement with this Parse body (query text, zero byte, parameter count, type oids) in such a session."""
    global last
    key = (body, meaning, database, generations.get(database))
    statement = _interned.get(key)
    if statement is None:
        last += 1
        statement = _interned[key] = Statement(body, b"trunkline_%x" % last, meaning)
    return statement


def begin_generation(str database):
    """DDL has run there: what is prepared from now on is not shared with what was before."""
    generations[database] = generations.get(database, 0) + 1


def retire(Statement statement):
    """Give this text a new statement from now on: plans of the old one have turned out to be spoiled by DDL."""
    for key, known in list(_interned.items()):
        if known is statement:
            _interned.pop(key, None)
