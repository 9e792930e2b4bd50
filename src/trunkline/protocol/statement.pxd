cdef class Statement:
    cdef readonly bytes body          # of the Parse behind the name: query, parameter types
    cdef readonly bytes server_name
    cdef readonly frozenset meaning   # of the sessions that understand it so (Params.meaning); None: of one client alone
    cdef int sight                    # what its text shows at a glance (routing.text.lexer)
    cdef object words                 # the Vocabulary of that glance
    cdef public bytes row_types       # of its result, as a client was told them; None: nobody was
    cdef public bint changed          # a server has been found where they are others now
    cdef public object route          # what a router knows of its text, in the context beside it
    cdef public object route_context
    cdef object __weakref__
