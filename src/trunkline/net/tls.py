"""TLS without a transport: an SSLObject between two memory BIOs, driven by the Link that owns it.

The contract with `Link`: `incoming` and `outgoing` hold the sealed bytes, `read` and `write` the plain ones;
`finish` is called once, when the handshake has succeeded (None) or failed (the error).
"""

from __future__ import annotations

import asyncio
import ssl

ALPN = "postgresql"


class TlsChannel:
    """One side of one TLS connection."""

    __slots__ = ("_object", "do_handshake", "handshaking", "incoming", "outgoing", "ready", "unwrap", "write")

    def __init__(self, context: ssl.SSLContext, *, server_side: bool, host: str | None = None) -> None:
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self.incoming, self.outgoing, server_side=server_side, server_hostname=host)
        self.do_handshake = self._object.do_handshake
        self.write = self._object.write
        self.unwrap = self._object.unwrap
        self.handshaking = True
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def read(self, n: int) -> bytes:
        """Plain bytes; b"" at the peer's close_notify; SSLWantReadError when there are none yet."""
        try:
            return self._object.read(n)
        except ssl.SSLZeroReturnError:
            return b""

    @property
    def pending(self) -> int:
        """Bytes that have arrived and were not read."""
        return self.incoming.pending + self._object.pending()

    def finish(self, error: BaseException | None) -> None:
        """The handshake is over."""
        self.handshaking = False
        if self.ready.done():
            return
        if error is None:
            self.ready.set_result(None)
        else:
            self.ready.set_exception(error)
            self.ready.exception()  # whoever awaits it gets it; nobody need

    def alpn(self) -> str | None:
        """What both sides agreed to speak inside, or None."""
        return self._object.selected_alpn_protocol()

    def peer_name(self) -> str | None:
        """The common name of the peer's verified certificate."""
        certificate = self._object.getpeercert()
        if not certificate:
            return None
        subject = certificate.get("subject", ())
        pairs = [pair for group in subject for pair in group]
        return next((str(pair[1]) for pair in pairs if pair[0] == "commonName"), None)

    def peer_certificate(self) -> bytes | None:
        """The peer's certificate in DER."""
        return self._object.getpeercert(binary_form=True)

    def describe(self) -> str:
        """What SHOW CLIENTS and SHOW SERVERS show: TLSv1.3/TLS_AES_256_GCM_SHA384."""
        cipher = self._object.cipher()
        return f"{self._object.version()}/{cipher[0] if cipher else ''}"
