STEPS: dict[str, dict[str, str]]
NEED_SERVER: tuple[str, ...]
NO_QUERIES: str

def fill_table(disable_pqexec: bool = ...) -> None: ...
