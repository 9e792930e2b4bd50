"""How the random conversations are put together: single messages, and turns of phrase as drivers use them.

Uniformly random messages mostly meet an error that makes the server skip the rest; so whole batches, transactions and
COPYs are among the pieces, and what is drawn between, before and instead of them is what clients get wrong.
"""

from __future__ import annotations

from hypothesis import strategies as st

from tests.fuzz.both_ways import CLIENTS, Saying, Script
from tests.fuzz.vocabulary import COPY_DATA, MESSAGES, SESSION, SQL

MAX_PIECES = 6

statements = st.sampled_from(("", "", "a", "b", "a long name"))
portals = st.sampled_from(("", "", "", "p"))
sql = st.sampled_from(sorted(SQL))
reading = st.sampled_from(("one", "rows", "table", "many rows", "fails late", "parameter", "show zone", "date"))
single = st.sampled_from(sorted(MESSAGES)).map(lambda name: [name])
everyday = st.sampled_from(("S", "S", "S", "H", "c", "f", "Q begin", "Q commit", "Q rollback", "Q one", "E  0")).map(
    lambda name: [name]
)
data = st.lists(st.sampled_from(sorted(COPY_DATA)).map("d {}".format), max_size=4)


@st.composite
def batch(draw: st.DrawFn) -> list[str]:
    """Parse, Bind, Describe, Execute of one statement, as drivers send them."""
    statement, portal, name = draw(statements), draw(portals), draw(sql | reading)
    values = "1" if "parameter" in name else "two" if name == "two parameters" else ""
    said = [f"P {statement} {name}", f"B {portal} {statement} {values}"]
    said += draw(st.sampled_from(([], [f"D S {statement}"], [f"D P {portal}"])))
    said += [f"E {portal} {draw(st.sampled_from((0, 0, 1, 2)))}"]
    return said + draw(st.sampled_from((["S"], ["S"], ["H"], [], ["Q one"])))


@st.composite
def reused(draw: st.DrawFn) -> list[str]:
    """A statement of a name, bound again and again, perhaps closed in between."""
    statement, portal = draw(statements), draw(portals)
    said = draw(st.sampled_from(([], [f"P {statement} parameter"], [f"C S {statement}", f"P {statement} parameter"])))
    for _ in range(draw(st.integers(1, 3))):
        said += [f"B {portal} {statement} 1", f"E {portal} 0", *draw(st.sampled_from((["S"], [])))]
    return [*said, "S"]


@st.composite
def copying(draw: st.DrawFn) -> list[str]:
    """COPY FROM STDIN by either protocol, with what may come of it."""
    name = draw(st.sampled_from(("copy in", "copy in", "copy in, more", "copy in twice")))
    begin = draw(st.sampled_from(([f"Q {name}"], [f"P  {name}", "B   ", "E  0"], [f"P  {name}", "B   ", "E  0", "S"])))
    lines = draw(data)
    middle = draw(st.sampled_from(([], [], ["S"], ["H"], ["Q one"], ["P a one"])))
    cut = draw(st.integers(0, len(lines)))
    end = draw(st.sampled_from((["c"], ["c"], ["f"], ["c", "S"], ["f", "S"], [], ["X"])))
    return [*begin, *lines[:cut], *middle, *lines[cut:], *end, *draw(st.sampled_from((["S"], [], ["Q one"])))]


@st.composite
def transaction(draw: st.DrawFn) -> list[str]:
    inner = draw(st.lists(sql.map("Q {}".format), max_size=3))
    return [f"Q {draw(st.sampled_from(('begin', 'begin read only')))}", *inner, f"Q {draw(endings)}"]


@st.composite
def holding(draw: st.DrawFn) -> list[str]:
    """Something that a session keeps, what else there may be in between, and what shows that it is there."""
    said = []
    for name in draw(st.lists(st.sampled_from(sorted(SESSION)), min_size=1, max_size=4)):
        said += draw(st.sampled_from(([f"Q {name}"], [f"Q {name}"], [f"P  {name}", "B   ", "E  0", "S"])))
    return [
        *draw(st.sampled_from(([], [], ["Q begin"]))),
        *said,
        *draw(st.sampled_from(([], ["Q commit"], ["Q rollback"]))),
    ]


endings = st.sampled_from(("commit", "rollback", "end", "commit and chain"))
queries = sql.map(lambda name: [f"Q {name}"])
pieces = st.lists(
    st.one_of(single, queries, everyday, batch(), reused(), copying(), transaction(), holding(), holding()),
    min_size=1,
    max_size=MAX_PIECES,
)


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    """What two clients say in turns: each piece is one client's, and most of them are the first one's."""
    said = []
    for piece in draw(pieces):
        client = draw(st.sampled_from((0, 0, *range(1, CLIENTS))))
        pause = draw(st.booleans())
        said += [Saying(client, name, pause and index == len(piece) - 1) for index, name in enumerate(piece)]
    return said
