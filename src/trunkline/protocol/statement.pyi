class Statement:
    body: bytes
    server_name: bytes

def intern(body: bytes, meaning: frozenset[tuple[bytes, bytes]] = ...) -> Statement: ...
