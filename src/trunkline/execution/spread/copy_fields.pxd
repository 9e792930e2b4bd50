# Bytes of COPY data: the C side of the contract in copy_fields.pyi.

cdef bint has_marker(const unsigned char *row, Py_ssize_t n) noexcept
cdef const unsigned char *unescaped_return(const unsigned char *row, Py_ssize_t n) noexcept
cdef const unsigned char *unquoted_return(const unsigned char *row, Py_ssize_t n, unsigned char quote,
                                          unsigned char escape) noexcept
