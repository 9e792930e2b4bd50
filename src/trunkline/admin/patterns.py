"""LIKE and ILIKE, in time that no pattern can make long: a pattern comes from whoever may read the console. Pure."""

from __future__ import annotations

from trunkline.admin.result import ConsoleError

_ANY, _ONE = object(), object()  # `%` and `_`
Part = str | object


def like(text: str, pattern: str, *, fold: bool = False) -> bool:
    """Whether a text matches; `fold` leaves case out of it."""
    if fold:
        text, pattern = text.lower(), pattern.lower()
    parts = _parts(pattern)
    at = here = 0
    star = -1  # the last `%`, from which is tried again one character later
    behind = 0
    while at < len(text):
        if here < len(parts) and (parts[here] is _ONE or parts[here] == text[at]):
            at, here = at + 1, here + 1
        elif here < len(parts) and parts[here] is _ANY:
            star, behind, here = here, at, here + 1
        elif star >= 0:
            behind += 1
            at, here = behind, star + 1
        else:
            return False
    return all(part is _ANY for part in parts[here:])


def _parts(pattern: str) -> list[Part]:
    parts: list[Part] = []
    characters = iter(pattern)
    for character in characters:
        if character == "\\":
            escaped = next(characters, None)
            if escaped is None:
                raise ConsoleError("22025", "LIKE pattern must not end with escape character")
            parts.append(escaped)
        else:
            parts.append({"%": _ANY, "_": _ONE}.get(character, character))
    return parts
