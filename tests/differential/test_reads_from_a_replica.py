"""Transaction pooling with reads on a streaming replica: a client cannot tell, whatever it has just written.

What two clients tell each other is left out: only a client's own writes are waited for. So are scripts in which
somebody else asks or changes the primary.
"""

from __future__ import annotations

import pytest

from tests.differential.comparing import cases, compare
from tests.differential.script import Elsewhere, Script, Until
from tests.differential.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")


def _is_alone(script: Script) -> bool:
    return script.clients == [1] and not any(isinstance(step, Until | Elsewhere) for step in script.steps)


@pytest.mark.parametrize(("variant", "script"), [one for one in cases("reads") if _is_alone(one.values[1])])
async def test_a_script_cannot_tell_the_pool_from_postgresql(stage: Stage, variant: str, script: Script) -> None:
    await compare(stage, variant, script)
