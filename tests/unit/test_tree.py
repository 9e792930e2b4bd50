"""The tree itself is tested: what a reader may rely on everywhere, and what one careless line would spoil."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "trunkline"
TESTS = ROOT / "tests"

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager"}
TASKS_ARE_MADE_IN = {"net/tasks.py"}
# Outside libraries and the one door of each (DESIGN: "Layout").
DOORS = {
    "asyncpg": "pool/",
    "uvloop": "app.py",
    "pglast": "routing/sql.py",
    "typer": "cli.py",
    "prometheus_client": "metrics/",
}
# Words that name a secret in a comparison; presence and shape (`is None`, `len(...)`) are not comparisons of it.
SECRET_NAMES = re.compile(
    r"(^|_)(password|secret|signature|proof|digest|nonce|client_key|server_key|stored_key|cancel_key)$"
)


def modules(*suffixes: str) -> list[Path]:
    return sorted(path for suffix in suffixes for path in SOURCE.rglob(f"*{suffix}"))


def everything_in_python() -> list[Path]:
    return sorted(path for top in ("src", "tests", "bench") for path in (ROOT / top).rglob("*.py"))


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def inside(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def test_every_module_has_a_test_at_the_mirrored_path() -> None:
    missing = [
        inside(path)
        for path in modules(".py", ".pyx")
        if path.name != "__init__.py" and not any(_mirrors(path, kind).exists() for kind in ("unit", "integration"))
    ]
    assert not missing, f"without a test: {missing}"


def _mirrors(path: Path, kind: str) -> Path:
    return TESTS / kind / path.relative_to(SOURCE).parent / f"test_{path.stem.strip('_')}.py"


@pytest.mark.parametrize("path", everything_in_python(), ids=shown)
def test_a_module_opens_with_a_docstring(path: Path) -> None:
    assert ast.get_docstring(tree_of(path))


@pytest.mark.parametrize("path", modules(".pyx"), ids=shown)
def test_a_compiled_module_opens_with_a_docstring_or_a_comment(path: Path) -> None:
    assert re.match(r'(#.*\n|\s)*"""|#', path.read_text())


def test_a_compiled_module_has_a_readable_contract() -> None:
    missing = [inside(path) for path in modules(".pyx") if not any(_contracts(path))]
    assert not missing, f"neither a .pyi nor a .pxd beside: {missing}"


def _contracts(path: Path) -> Iterator[bool]:
    return (path.with_suffix(suffix).exists() for suffix in (".pyi", ".pxd"))


def test_no_module_is_named_for_nothing() -> None:
    assert not [shown(path) for path in everything_in_python() if path.stem in FORBIDDEN_NAMES]


@pytest.mark.parametrize("path", modules(".py", ".pyx"), ids=inside)
def test_a_file_stays_readable_in_one_sitting(path: Path) -> None:
    assert len(path.read_text().splitlines()) < MAX_FILE_LINES


@pytest.mark.parametrize("path", modules(".py"), ids=inside)
def test_no_function_is_a_monster(path: Path) -> None:
    functions = (node for node in ast.walk(tree_of(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    long = [node.name for node in functions if (node.end_lineno or 0) - node.lineno >= MAX_FUNCTION_LINES]
    assert not long


def test_tasks_are_made_in_one_place() -> None:
    """A task that nobody keeps can be collected while it runs, and what it raises is lost."""
    pattern = re.compile(r"\b(create_task|ensure_future)\s*\(")
    made = {inside(path) for path in modules(".py", ".pyx") if pattern.search(path.read_text())}
    assert made <= TASKS_ARE_MADE_IN


@pytest.mark.parametrize("library", DOORS)
def test_an_outside_library_has_one_door(library: str) -> None:
    pattern = re.compile(rf"^\s*(import|from|cimport)\s+{library}\b", re.MULTILINE)
    users = {inside(path) for path in modules(".py", ".pyx") if pattern.search(path.read_text())}
    assert {user for user in users if not user.startswith(DOORS[library])} == set()


@pytest.mark.parametrize("path", modules(".py"), ids=inside)
def test_secrets_are_compared_in_constant_time(path: Path) -> None:
    """[1b timing]"""
    compared = [ast.unparse(node) for node in ast.walk(tree_of(path)) if isinstance(node, ast.Compare) if _leaks(node)]
    assert not compared, f"use hmac.compare_digest: {compared}"


def _leaks(comparison: ast.Compare) -> bool:
    if not any(isinstance(operator, ast.Eq | ast.NotEq) for operator in comparison.ops):
        return False
    operands = (comparison.left, *comparison.comparators)
    if any(isinstance(operand, ast.Constant) for operand in operands):
        return False
    return any(SECRET_NAMES.search(_name(operand)) for operand in operands)


def _name(operand: ast.expr) -> str:
    match operand:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


@pytest.mark.skipif(not (SOURCE / "app.py").exists(), reason="there is no server to import yet")
@pytest.mark.parametrize("library", ["pglast", "typer", "rich", "prometheus_client", "pydantic"])
def test_a_serving_process_does_not_load(library: str) -> None:
    """Each of them would cost every worker megabytes that no query needs."""
    program = f"import sys, trunkline.serve, trunkline.app; sys.exit({library!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
