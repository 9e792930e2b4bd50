cdef class Statement:
    cdef readonly bytes body          # of the Parse behind the name: query, parameter types
    cdef readonly bytes server_name
    cdef int sight                    # what its text shows at a glance (routing.lexer)
    cdef object words                 # the Vocabulary of that glance
    cdef object __weakref__
