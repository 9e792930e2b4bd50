"""Requests to the letter, and nothing else; answers with their length."""

from __future__ import annotations

import contextlib
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.metrics.http import END, Answer, BadRequest, parse


def test_a_request_is_its_method_its_path_and_its_headers() -> None:
    request = parse(b"GET /metrics?name[]=a HTTP/1.1\r\nHost: h:1\r\nACCEPT:text/plain \r\naccept:\t*/*\r\n\r\n")
    assert (request.method, request.path) == ("GET", "/metrics")
    assert request.headers == {"host": "h:1", "accept": "text/plain, */*"}


def test_the_older_version_needs_no_host() -> None:
    assert parse(b"HEAD /healthz HTTP/1.0\r\n\r\n").headers == {}


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        b" GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        b"GET / http/1.1\r\nHost: a\r\n\r\n",
        b"GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\n\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\x00\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
def test_what_is_not_to_the_letter_is_no_request(head: bytes) -> None:
    with pytest.raises(BadRequest):
        parse(head)


@given(st.binary())
def test_any_bytes_are_a_request_or_are_refused(head: bytes) -> None:
    with contextlib.suppress(BadRequest):
        parse(head + END)


HEADERS = st.lists(st.binary(), max_size=3).map(b"\r\n".join)


@given(HEADERS)
def test_any_headers_are_taken_or_refused(headers: bytes) -> None:
    try:
        request = parse(b"GET / HTTP/1.1\r\nHost: a\r\n" + headers + END)
    except BadRequest:
        return
    assert not any(set(name + value) & set("\r\n\0") for name, value in request.headers.items())


def test_an_answer_has_its_length_and_is_the_last() -> None:
    answer = Answer.words(HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": "GET"})
    head, _, body = answer.to_bytes().partition(END)
    first, *fields = head.decode().split("\r\n")
    assert first == "HTTP/1.1 405 Method Not Allowed"
    assert {"Content-Length: 19", "Connection: close", "Allow: GET"} <= set(fields)
    assert body == b"method not allowed\n"


def test_head_gets_the_same_but_for_the_body() -> None:
    answer = Answer.words(HTTPStatus.OK, "ready")
    assert answer.to_bytes(with_body=False) + b"ready\n" == answer.to_bytes()
