"""Sockets: the compiled Link, the engine that wakes it, TLS, addresses and listeners."""
