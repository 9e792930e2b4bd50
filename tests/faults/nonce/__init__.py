"""Clients that know every answer they must get, and say so when they get another.

Each statement carries a nonce that no other statement ever carries; the answer must hold it, in its place in the order,
with one ReadyForQuery a Sync, the right transaction status and the client's own settings. Bottom up:

- ``nonces``: making them, and telling whose a nonce is
- ``replies``: what one message of an answer must be
- ``judge``: compares what comes with what must come (pure: no socket, no clock)
- ``session``: what a client knows of its own session
- ``atoms``, ``shapes``, ``writes``, ``cancels``: the statements, as data and generators (pure)
- ``ledger``: which writes must be there afterwards
- ``link``, ``client``, ``misbehaviour``: sockets
- ``worker``: many clients in one process, driven over stdin and stdout
"""
