"""Transaction pooling: no client can tell it from a direct connection, whoever else uses the same servers."""

from __future__ import annotations

import pytest

from tests.differential.comparing import cases, compare
from tests.differential.script import Script
from tests.differential.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(("variant", "script"), cases("used", "shared", "rotating"))
async def test_a_script_cannot_tell_the_pool_from_postgresql(stage: Stage, variant: str, script: Script) -> None:
    await compare(stage, variant, script)
