"""Every place where Trunkline can be suspended, read from its code, and a way to break off each of them.

``points_in_code`` lists each ``await``, ``async with`` and ``async for``. ``Watch`` is a task factory: it wraps the
coroutines of Trunkline's own tasks, sees at each suspension which points the task stands at (the whole stack, outermost
first), and at a chosen one does harm. No code of the product takes part in it.
"""

from __future__ import annotations

import ast
import asyncio
import gc
import inspect
from collections.abc import Coroutine, Generator, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import trunkline

SOURCE = Path(trunkline.__file__).parent
NOT_SERVING = (
    "demo/",
    "cli.py",
    "__main__.py",
    "execution/offline.py",
    "pool/online_check.py",
    "pool/online_login.py",
    "pool/server_check.py",
    "pool/console_link.py",
    "top/",
)

NO_WAIT = "async with asyncio.timeout("  # which waits neither when it is entered nor when it is left

Stack = tuple[str, ...]
Suspension = ast.Await | ast.AsyncWith | ast.AsyncFor


class Injected(Exception):
    """An error that nobody has foreseen."""


# --- the points, by what the code says --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Point:
    """One suspension point: where it stands, and its name, which does not change when lines move."""

    name: str
    line: int
    end_line: int
    column: int
    end_column: int

    def holds(self, line: int, column: int) -> bool:
        return (self.line, self.column) <= (line, column) <= (self.end_line, self.end_column)


def points_in_code() -> dict[str, Point]:
    """All of them by name; two of the same text in one function are numbered."""
    files = [path for path in SOURCE.rglob("*.py") if not inside(path).startswith(NOT_SERVING)]
    return {point.name: point for path in sorted(files) for point in points_of(path)}


def inside(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


@cache
def points_of(path: Path) -> tuple[Point, ...]:
    found: list[Point] = []
    names: set[str] = set()
    for function, node in _suspensions(ast.parse(path.read_text()), ""):
        first, last, text = _header(node)
        if text.startswith(NO_WAIT):
            continue
        plain = f"{inside(path)} {function}: {text}"
        name = next(n for n in _numbered(plain) if n not in names)
        names.add(name)
        found.append(Point(name, first.lineno, last.end_lineno or 0, first.col_offset, last.end_col_offset or 0))
    return tuple(found)


def _numbered(plain: str) -> Iterator[str]:
    yield plain
    for number in range(2, 100):
        yield f"{plain} ({number})"


def _suspensions(node: ast.AST, function: str) -> Iterator[tuple[str, Suspension]]:
    """Each with the dotted name of its function, in order."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Await | ast.AsyncWith | ast.AsyncFor):
            yield function, child
        elif isinstance(child, ast.comprehension):
            assert not child.is_async, "asynchronous comprehensions are not known here"
        named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        yield from _suspensions(child, f"{function}.{child.name}".lstrip(".") if named else function)  # type: ignore[attr-defined]


def _header(node: Suspension) -> tuple[Suspension, ast.expr, str]:
    """Where the part that suspends begins and ends, and its text."""
    if isinstance(node, ast.Await):
        return node, node, ast.unparse(node)
    if isinstance(node, ast.AsyncFor):
        return node, node.iter, f"async for {ast.unparse(node.target)} in {ast.unparse(node.iter)}"
    text = ", ".join(ast.unparse(item) for item in node.items)
    return node, node.items[-1].context_expr, f"async with {text}"


# --- where a coroutine stands -----------------------------------------------------------------------------------------


def stack_of(coroutine: object) -> Stack:
    """The points that a suspended coroutine stands at, outermost first; those of other code are left out."""
    frames = []
    awaited: object = coroutine
    while awaited is not None:
        frame, awaited = _step_in(awaited)
        if frame is not None and (point := _point_at(frame)) is not None:
            frames.append(point)
    return tuple(frames)


def _step_in(awaited: object) -> tuple[FrameType | None, object]:
    """The frame of what is awaited, and what that waits for."""
    if inspect.iscoroutine(awaited):
        return awaited.cr_frame, awaited.cr_await
    if inspect.isasyncgen(awaited):
        return awaited.ag_frame, awaited.ag_await
    if inspect.isgenerator(awaited):
        return awaited.gi_frame, awaited.gi_yieldfrom
    if type(awaited).__name__ in ("async_generator_asend", "async_generator_athrow", "coroutine_wrapper"):
        inner = (item for item in gc.get_referents(awaited) if inspect.isasyncgen(item) or inspect.iscoroutine(item))
        return None, next(inner, None)
    return None, None


def _point_at(frame: FrameType) -> str | None:
    path = Path(frame.f_code.co_filename)
    if not path.is_relative_to(SOURCE):
        return None
    line, column = _position(frame.f_code, frame.f_lasti)
    inner = [point for point in points_of(path) if point.holds(line, column)]
    assert inner, f"suspended at no point: {path}:{line}:{column}"
    return max(inner, key=lambda point: (point.line, point.column)).name


def _position(code: CodeType, last: int) -> tuple[int, int]:
    line, _, column, _ = list(code.co_positions())[last // 2]
    return line or 0, column or 0


# --- doing harm -------------------------------------------------------------------------------------------------------


@dataclass
class Watch:
    """A task factory. Without ``target`` it only notes in ``seen`` the stacks at which tasks were suspended.

    ``harm`` at the first suspension at the target: "cancel", as somebody would who ends the task while it waits;
    "late cancel", which comes together with what it waited for; or "raise", an error in place of that.
    """

    target: Stack | None = None
    harm: str = ""
    seen: dict[Stack, None] = field(default_factory=dict)
    done: bool = False
    _over: bool = False

    def __call__(self, loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
        if inspect.iscoroutine(work) and Path(work.cr_code.co_filename).is_relative_to(SOURCE):
            work = _Watched(work, self)
        return asyncio.Task(work, loop=loop, **options)

    def enough(self) -> None:
        """See nothing more, and do no harm any more."""
        self._over = True

    def is_hit(self, coroutine: object) -> bool:
        """A task has been suspended; whether harm is to be done to it."""
        if self._over:
            return False
        stack = stack_of(coroutine)
        self.seen[stack] = None
        if self.done or stack != self.target:
            return False
        self.done = True
        return True


class _Watched(Coroutine[Any, Any, Any]):
    """A coroutine that reports its suspensions."""

    def __init__(self, inner: Coroutine[Any, Any, Any], watch: Watch) -> None:
        self._inner = inner
        self._watch = watch
        self._late = False

    def send(self, value: Any) -> Any:
        if self._late:
            return self.throw(asyncio.CancelledError())
        return self._suspended(self._inner.send(value))

    def throw(self, *error: Any) -> Any:
        self._late = False
        return self._suspended(self._inner.throw(*error))

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._inner.__await__()

    def _suspended(self, waits_for: Any) -> Any:
        if not self._watch.is_hit(self._inner):
            return waits_for
        if self._watch.harm == "raise":
            if asyncio.isfuture(waits_for):
                waits_for._asyncio_future_blocking = False  # nobody waits for it any more
            return self._suspended(self._inner.throw(Injected()))
        if self._watch.harm == "cancel":
            task = asyncio.current_task()
            assert task is not None
            asyncio.get_running_loop().call_soon(task.cancel)
        self._late = self._watch.harm == "late cancel"
        return waits_for
