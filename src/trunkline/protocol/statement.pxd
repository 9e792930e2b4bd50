cdef class Statement:
    cdef readonly bytes body          # of the Parse behind the name: query, parameter types
    cdef readonly bytes server_name
    cdef object __weakref__
