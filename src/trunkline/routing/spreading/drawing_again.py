"""Ids in texts that differ in their literals only: where they go is found once, and again by the numbers of the tokens.

Two texts with one key (routing/text/fingerprint.pyx) have the same tokens but for the values of their literals. So what
is replaced in the one is replaced in the other between the same tokens, where what it replaces says the same: the name
in `nextval('s')` is a literal too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from trunkline.routing.spreading.drawing_slots import Drawing, Edit, Piece, Slot
from trunkline.routing.text.tokens import tokens_of

_Token = tuple[str, int, int]
_Edge = tuple[int, bool]  # the number of a token, and whether its end is meant


@dataclass(frozen=True, slots=True)
class _Place:
    """An edit by its tokens; `said` are those that it replaces."""

    start: _Edge
    end: _Edge
    said: tuple[bytes, ...]
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Pattern:
    """A Drawing for all texts with one key."""

    tokens: int
    places: tuple[_Place, ...]
    parameters: int
    inserts: bool

    def drawing(self, sql: bytes) -> Drawing | None:
        """That of another text; None if what would be replaced there is not the same."""
        tokens = tokens_of(sql)
        if len(tokens) != self.tokens:
            return None
        edits = []
        for one in self.places:
            if _said(sql, tokens, one.start, one.end) != one.said:
                return None
            edits.append(Edit(_at(tokens, one.start), _at(tokens, one.end), one.pieces))
        return replace(edited(sql, edits, self.parameters), inserts=self.inserts)


def pattern_of(sql: bytes, drawing: Drawing, fixed: Iterable[int] = ()) -> Pattern | None:
    """The pattern of a text's Drawing; None if it goes by more than tokens, or by literals (at `fixed`) that stay."""
    replaced = [range(edit.start, edit.end) for edit in drawing.edits]
    if drawing.count or not replaced or not all(any(at in one for one in replaced) for at in fixed if at >= 0):
        return None
    tokens = tokens_of(sql)
    starts: dict[int, _Edge] = {start: (number, False) for number, (_, start, _) in enumerate(tokens)}
    ends: dict[int, _Edge] = {end: (number, True) for number, (_, _, end) in enumerate(tokens)}
    places = []
    for edit in drawing.edits:
        start = starts.get(edit.start) or ends.get(edit.start)
        end = start if edit.end == edit.start else ends.get(edit.end)
        if start is None or end is None:
            return None
        places.append(_Place(start, end, _said(sql, tokens, start, end), edit.pieces))
    return Pattern(len(tokens), tuple(places), drawing.parameters, drawing.inserts)


def edited(sql: bytes, edits: Sequence[Edit], parameters: int) -> Drawing:
    """The text with these edits, which are in its order."""
    pieces: list[Piece] = []
    at = 0
    for edit in edits:
        pieces += [sql[at : edit.start], *edit.pieces]
        at = edit.end
    return Drawing((*pieces, sql[at:]), parameters, edits=tuple(edits))


def place_in(sql: bytes, drawing: Drawing, taken: int, place: int) -> int:
    """Which character of a text (from 1 on, as errors have it) one of the text with its ids is, or stands for."""
    ours = theirs = number = 0  # characters of the one and of the other before this piece, and slots
    pieces = iter(drawing.pieces)
    for edit in (*drawing.edits, Edit(len(sql), len(sql), ())):
        size = _characters(next(pieces, b""))
        if place <= ours + size:
            return theirs + place - ours
        ours, theirs = ours + size, theirs + size
        for piece in edit.pieces:
            number += isinstance(piece, Slot)
            next(pieces)
            ours += _characters(piece.text(taken + number) if isinstance(piece, Slot) else piece)
        if place <= ours:
            return theirs + 1
        theirs += _characters(sql[edit.start : edit.end])
    return theirs + 1


def _characters(text: Piece) -> int:
    return len(text.decode(errors="replace")) if isinstance(text, bytes) else 0


def _at(tokens: Sequence[_Token], edge: _Edge) -> int:
    _, start, end = tokens[edge[0]]
    return end if edge[1] else start


def _said(sql: bytes, tokens: Sequence[_Token], start: _Edge, end: _Edge) -> tuple[bytes, ...]:
    first, last = start[0] + start[1], end[0] + end[1]
    texts = ((kind, sql[begins:ends]) for kind, begins, ends in tokens[first:last])
    return tuple(text.lower() if kind == "word" else text for kind, text in texts)
