# Failpoints of compiled modules: nothing at all, unless the build has TRUNKLINE_FAILPOINTS (see failpoints.py).
cdef extern from *:
    """
    #ifdef TRUNKLINE_FAILPOINTS
    static int trunkline_failpoint(const char *name) {
        PyObject *module = PyImport_ImportModule("trunkline.failpoints");
        PyObject *passed = module ? PyObject_CallMethod(module, "failpoint", "s", name) : NULL;
        Py_XDECREF(module);
        Py_XDECREF(passed);
        return passed ? 0 : -1;
    }
    #else
    #define trunkline_failpoint(name) ((void)(name), 0)
    #endif
    """
    int failpoint "trunkline_failpoint" (const char *name) except -1
