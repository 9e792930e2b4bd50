"""The wire, and nothing but the wire: no sockets, no clock, no SQL."""
