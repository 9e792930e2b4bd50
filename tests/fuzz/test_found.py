"""What random conversations have found: each once more, as it was when it had become small."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.fuzz.both_ways import script
from tests.fuzz.conversations import BothWays, both_ways
from tests.fuzz.instrumented import is_sanitized
from tests.integration.postgres import Farm, flavours_to_run

pytestmark = pytest.mark.skipif(is_sanitized(), reason="PostgreSQL would be run under the sanitizer too")

CONVERSATIONS = {
    "a Sync before the data of a COPY is ignored for good": (
        *("0 P  copy in", "0 B   ", "0 E  0", "0 S..."),
        *("0 d bad", "0 Q one", "0 c", "0 S"),
    ),
    "a query behind the data of a COPY that has failed is answered": ("0 Q copy in...", "0 d bad", "0 Q one"),
    "a long name is repeated as it was said": ("0 P a long name one", "0 P a long name one", "0 S"),
    "a long name is repeated as it was said in Bind": ("0 P a long name one", "0 B  a long name 1", "0 S"),
    "a Sync with a body is an error": ("0 ! sync with a body", "0 Q one"),
    "a Flush with a body is an error": ("0 ! flush with a body", "0 E  0", "0 S", "0 Q one"),
    "a statement that was skipped is not there in the next batch": (
        *("0 P a rows", "0 B  a ", "0 E  0", "0 S..."),
        *("0 B  missing ", "0 C S a", "0 P a parameter", "0 S", "0 B  a ", "0 E  0", "0 S"),
    ),
    "a Parse of ours that was skipped is made up for": (
        *("0 P a one", "0 S...", "0 P b two", "0 S..."),
        *("0 B  missing ", "0 B  a ", "0 S", "0 B  a ", "0 E  0", "0 S"),
        *("0 B  missing ", "0 B  b ", "0 S", "0 B  b ", "0 E  0", "0 S"),
    ),
    "an unnamed statement that was skipped does not come back with a query that was skipped": (
        *("0 B  missing ", "0 P  begin", "0 B   ", "0 E  0", "0 S"),
        *("0 B  missing ", "0 Q begin", "0 S", "0 B   ", "0 S"),
    ),
    "a batch behind the data of a COPY that has failed is answered": (
        *("0 Q copy in", "0 d bad", "0 S", "0 P  begin", "0 B   ", "0 E  0", "0 S"),
    ),
    "nobody runs the unnamed statement of another client that was to be closed": (
        *("1 P  notice", "1 S...", "1 P  notice", "1 S...", "1 P  notice", "1 S..."),
        *("0 B  missing ", "0 B   ", "0 S...", "0 B   ", "0 E  0", "0 S"),
    ),
    "an unnamed statement is there again in a transaction that has failed": (
        *("0 Q begin", "0 P  fails late", "0 B   ", "0 E  0", "0 P  parameter", "0 S...", "0 B   1", "0 S"),
    ),
    "statements that SQL may speak of are told to a server apart from what waits for answers": (
        *("0 P a long name copy out", "0 Q begin", "0 Q commit inside", "0 Q prepare", "0 Q commit"),
    ),
    "an implicit transaction stays open behind a query that cut its batch": (
        *("0 P b copy out", "0 B  b ", "0 E  0", "0 Q one", "0 Q prepare", "0 S"),
    ),
    "what SQL speaks of is told once the transaction that failed is over": (
        *("0 P a begin", "0 Q begin", "0 Q parameter", "0 Q execute", "0 Q commit", "0 Q execute"),
    ),
    "a failed batch takes back nothing of the next": (
        *("0 Q begin", "0 Q fails", "0 P  rows", "0 B   ", "0 E  0", "0 S", "0 Q commit"),
        *("0 P  parameter", "0 B   1", "0 E  0", "0 S", "0 B   1", "0 E  0", "0 S"),
    ),
    "answers come before the error that ends a connection": ("0 ! bind of nothing", "0 ! unknown type"),
    "a message of an unknown type ends a COPY": ("0 Q copy in...", "0 ! unknown type"),
    "a message that would be waited with for other answers ends a COPY at once": (
        *("0 Q discard...", "0 P a copy in", "0 B  a ", "0 E  0", "0 S", "0 P a long name deallocate..."),
        *("0 P  show path",),
    ),
    "a query that would be waited with for other answers ends a COPY at once": (
        *("0 P a one", "0 Q copy in", "0 Q prepare"),
    ),
    "an error is told under the name that its statement had, which is another's by now": (
        *(
            "0 P a two parameters",
            "0 B  a 1",
            "0 E  0",
            "0 H",
            "0 C S a",
            "0 P a parameter",
            "0 B  a 1",
            "0 E  0",
            "0 S",
        ),
    ),
    "an error is told under that one of two names which was used": (
        *("0 P a one", "0 B  a 1", "0 S...", "0 P b one", "0 B  b 1", "0 S...", "0 B  a 1", "0 S"),
    ),
    "nobody runs the unnamed statement of another client": (
        *("1 P  notice", "1 S...", "1 P  notice", "1 S...", "1 P  notice", "1 S..."),
        *("0 B  missing ", "0 P  rows", "0 S", "0 B   ", "0 E  0", "0 S"),
    ),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sides(farm: Farm) -> AsyncIterator[BothWays]:
    async with both_ways(await farm.get(flavours_to_run(every_postgres=False)[0])) as made:
        yield made


@pytest.mark.parametrize("lines", CONVERSATIONS.values(), ids=CONVERSATIONS)
def test_it_goes_as_it_does_with_postgresql_itself(sides: BothWays, lines: tuple[str, ...]) -> None:
    sides.hold(script(*lines))
