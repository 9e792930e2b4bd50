"""The part of HTTP/1.1 (RFC 9112) that a scraper and a health check speak: one request, one answer, then the end.

Pure and strict: what is not to the letter of the grammar is BadRequest, so that nothing is ever read in two ways.
Bodies of requests are not read at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

MAX_REQUEST_BYTES = 8192
MAX_CONNECTIONS = 32
REQUEST_S = 5.0
END = b"\r\n\r\n"
PLAIN = "text/plain; charset=utf-8"

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE = re.compile(rb"(%b) ([!-~]+) HTTP/1\.([01])" % _TOKEN)
_FIELD = re.compile(rb"(%b):([\t -~\x80-\xff]*)" % _TOKEN)


class BadRequest(Exception):
    """Bytes that are no request."""


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked; the names of headers are in lower case, and one that came several times is joined by commas."""

    method: str
    path: str
    headers: Mapping[str, str]


def parse(head: bytes) -> Request:
    """A request from its first byte to the empty line, both included."""
    first, *lines = head.removesuffix(END).split(b"\r\n")
    asked = _REQUEST_LINE.fullmatch(first)
    if asked is None:
        raise BadRequest("the request line")
    headers: dict[str, str] = {}
    for line in lines:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise BadRequest("a header")
        name, value = field[1].decode("ascii").lower(), field[2].decode("latin-1").strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if asked[3] == b"1" and "host" not in headers:
        raise BadRequest("no host")
    return Request(asked[1].decode("ascii"), asked[2].decode("ascii").partition("?")[0], headers)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered, but for what HTTP itself adds."""

    status: HTTPStatus
    body: bytes
    content_type: str = PLAIN
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def words(cls, status: HTTPStatus, text: str = "", headers: Mapping[str, str] | None = None) -> Answer:
        """One line for people; the status's own words by default."""
        return cls(status, f"{text or status.phrase.lower()}\n".encode(), headers=headers or {})

    def to_bytes(self, *, with_body: bool = True) -> bytes:
        """The answer on the wire; to HEAD without the body, but with its length."""
        fields = {
            "Content-Type": self.content_type,
            "Content-Length": str(len(self.body)),
            "Cache-Control": "no-store",
            "Connection": "close",
            **self.headers,
        }
        head = f"HTTP/1.1 {self.status.value} {self.status.phrase}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return head.encode("latin-1") + b"\r\n" + (self.body if with_body else b"")
