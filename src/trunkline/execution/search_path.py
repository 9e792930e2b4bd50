"""The schemas in which a session looks names up, from its search_path (namespace.c, recomputeNamespacePath)."""

from __future__ import annotations

import re

DEFAULT = b'"$user", public'
_ELEMENT = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^,"\s]*))\s*(?:,|$)')


def path_of(said: bytes | None, user: str) -> tuple[str, ...]:
    """In order; `$user` is the user's own schema. Without the temporary one: a session that has it keeps its server."""
    text = (DEFAULT if said is None else said).decode(errors="surrogateescape")
    names = (quoted.replace('""', '"') or plain.lower() for quoted, plain in _ELEMENT.findall(text))
    return tuple(user if name == "$user" else name for name in names if name and name != "pg_temp")
