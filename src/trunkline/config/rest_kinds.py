"""The kind of value that says where a REST API is: URLs of HTTP, with commas."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from trunkline.config.address import BadValue
from trunkline.config.kinds import Kind, Limits, needs

_URL = re.compile(
    r"https?://(?:\[[0-9A-Fa-f:.]+\]|[^\s/@?#:\[\]]+)(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/%-]*)?", re.IGNORECASE
)
_EXAMPLE = 'write it as in "http://10.0.0.5:8008"'


def _urls_toml(value: object, limits: Limits) -> tuple[str, ...]:
    if isinstance(value, list):
        for item in value:
            needs(item, (str,), "an array of URLs")
        return tuple(_url(item) for item in value)
    needs(value, (str,), "a URL, or several with commas")
    return _urls_text(str(value), limits)


def _urls_text(text: str, limits: Limits) -> tuple[str, ...]:
    return tuple(_url(item) for item in text.split(",")) if text.strip() else ()


def _url(text: str) -> str:
    written = text.strip()
    if "@" in written:
        raise BadValue("no user or password can stand in this URL", "what is asked needs none")
    if _URL.fullmatch(written) is None:
        raise BadValue("not a URL of HTTP", _EXAMPLE)
    try:
        port = urlsplit(written).port
    except ValueError:
        port = 0
    if port == 0:
        raise BadValue("the port is not a number from 1 to 65535", _EXAMPLE)
    return written.rstrip("/")


REST_URLS = Kind("a URL, or several with commas", _urls_toml, _urls_text, ", ".join)
