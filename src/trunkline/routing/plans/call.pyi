from trunkline.routing.keys.sharding import Value
from trunkline.routing.plans.plan import Source

class Call:
    """Satisfies plan.Values."""

    reason: Exception | None
    def __init__(
        self,
        text: bytes | None = ...,
        bind: bytes | None = ...,
        oids: tuple[int, ...] = ...,
        standard_strings: bool = ...,
    ) -> None: ...
    def value(self, source: Source, type: str) -> Value | None: ...
    def declared(self, number: int) -> int: ...
    def elements(self, source: Source, type: str) -> list[Value | None]: ...

def parameters_of_bind(data: bytes) -> list[tuple[int, int, bool]] | None: ...
