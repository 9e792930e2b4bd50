from collections.abc import Iterator
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")

class Placed:
    place: Place[Any] | None
    def fileno(self) -> int: ...

class Place(Generic[_T]):
    name: str
    count: int
    def __init__(self, name: str) -> None: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[_T]: ...
