from typing import Any

REQUEST_NAMES: tuple[str, ...]

class ServerSession:
    count: int
    units: int
    status: int
    copying: int
    skipping: bool
    synced: bool
    tainted: bool
    setup_failed: bool
    undone: list[tuple[int, int, Any, bool]]
    free: bool
    def request(self, name: str, action: str = ..., note: Any = ...) -> bool: ...
    def reply(self, kind: str, status: str = ...) -> str: ...
    def fake(self) -> str | None: ...
    def copy_done(self) -> None: ...
