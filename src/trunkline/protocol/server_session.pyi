from typing import Any

REQUEST_NAMES: tuple[str, ...]

class ServerSession:
    count: int
    units: int
    status: int
    copying: int
    copy_ended: bool
    skipping: bool
    synced: bool
    tainted: bool
    failed: bool
    broke_copy: bool
    undone: list[tuple[int, int, Any, bool]]
    mid_copy: bool
    running: bool
    mid_copy_in: bool
    copies_both_ways: bool
    unsynced: bool
    free: bool
    def request(self, name: str, action: str = ..., note: Any = ...) -> bool: ...
    def reply(self, kind: str, status: str = ...) -> str: ...
    def fake(self) -> str | None: ...
    def owed(self) -> list[tuple[str, str, int]]: ...
    def lose(self) -> list[tuple[str, str, int]]: ...
    def copy_done(self) -> None: ...
    def flush(self) -> None: ...
