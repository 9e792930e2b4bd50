class Statement:
    body: bytes
    server_name: bytes

def intern(body: bytes) -> Statement: ...
