"""The shared server of the integration tests, for the scripts that run in `make test`."""

from tests.integration.conftest import farm, postgres, pytest_generate_tests, workspace

__all__ = ["farm", "postgres", "pytest_generate_tests", "workspace"]
