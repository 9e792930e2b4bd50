from collections.abc import Mapping

from trunkline.routing.keys.sharding import Value

KINDS: Mapping[str, int]  # the types that can be hashed
MAX_COLUMNS: int

class RowHash:
    """The hash of a row whose key's columns have these types."""

    types: tuple[str, ...]
    def __init__(self, types: tuple[str, ...]) -> None: ...
    def of(self, key: tuple[Value | None, ...]) -> int: ...
