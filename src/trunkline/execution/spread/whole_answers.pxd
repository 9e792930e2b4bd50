# Answers that are here to their end: the C side of the contract in whole_answers.pyx.
cdef bint is_bound(bytearray kept, Py_ssize_t at) noexcept
cdef object whole_answer(bytearray kept, Py_ssize_t at)
