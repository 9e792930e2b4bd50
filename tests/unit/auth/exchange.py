"""Both ends of an exchange, wired together without a socket: what the login tests are written with."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Generator

import scramp

from trunkline.auth import scram
from trunkline.auth.login import ClientAuthentication
from trunkline.auth.replies import Accept, Derive, Reply, Send
from trunkline.auth.secret import LoginSeed, Secret

SEED = LoginSeed(b"seed" * 8)
CERTIFICATE_HASH = bytes(range(32))


def fixed_bytes(size: int) -> bytes:
    """Stands for the random source where whole exchanges are compared byte for byte."""
    return b"\x01" * size


def split(payload: bytes) -> list[tuple[str, int, bytes]]:
    """Messages as (type, code, rest) for R; the length word of each must hold."""
    messages = []
    while payload:
        (length,) = struct.unpack_from("!i", payload, 1)
        body, payload_rest = payload[5 : length + 1], payload[length + 1 :]
        assert len(body) == length - 4
        messages.append((chr(payload[0]), struct.unpack_from("!i", body)[0], body[4:]))
        payload = payload_rest
    return messages


def sasl_initial(mechanism: str, data: bytes) -> bytes:
    return mechanism.encode() + b"\0" + struct.pack("!i", len(data)) + data


def settle(login: ClientAuthentication, reply: Reply) -> Reply:
    """Carry out a Derive, if that is the reply."""
    while isinstance(reply, Derive):
        reply = login.derived(scram.derive(reply.password, reply.salt, reply.iterations))
    return reply


def answers(password: str, mechanism: str = scram.SHA_256, nonce: str = "clientnonce") -> Generator[bytes, bytes, None]:
    """A SCRAM client as a coroutine: yields message bodies, is sent the bodies of the server's messages."""
    binding = ("tls-server-end-point", CERTIFICATE_HASH) if mechanism == scram.SHA_256_PLUS else None
    client = scramp.ScramClient([mechanism], "ann", password, channel_binding=binding, c_nonce=nonce)
    server_first = yield sasl_initial(mechanism, client.get_client_first().encode())
    client.set_server_first(server_first.decode())
    server_final = yield client.get_client_final().encode()
    client.set_server_final(server_final.decode())


def scram_secret(password: str, iterations: int = 4096, salt: bytes = b"0123456789abcdef") -> Secret:
    keys = scram.derive(password, salt, iterations)
    return Secret.parse(scram.ScramSecret.of(keys, salt, iterations).format())


def run_scram(login: ClientAuthentication, password: str, mechanism: str = scram.SHA_256) -> tuple[list[bytes], Accept]:
    """A whole SCRAM login: all that the client was sent, and the acceptance; errors come through."""
    client = answers(password, mechanism)
    reply = login.start()
    body = next(client)
    sent: list[bytes] = []
    while isinstance(reply, Send):
        sent.append(reply.payload)
        if len(sent) > 1:
            body = client.send(split(reply.payload)[0][2])
        reply = settle(login, login.feed(body))
    assert isinstance(reply, Accept)
    with contextlib.suppress(StopIteration):
        client.send(split(reply.payload)[0][2])  # the client verifies our signature
    return [*sent, reply.payload], reply
