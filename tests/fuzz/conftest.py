"""Fixtures of the fuzz tests: a PostgreSQL, and a Trunkline in front of it whose clients must take turns."""

from __future__ import annotations

from tests.integration.conftest import (
    authority,
    farm,
    own_postgres,
    postgres,
    pytest_generate_tests,
    start_proxy,
    workspace,
)

__all__ = ["authority", "farm", "own_postgres", "postgres", "pytest_generate_tests", "start_proxy", "workspace"]
