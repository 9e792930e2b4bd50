STEPS: dict[str, dict[str, str]]
NEED_SERVER: tuple[str, ...]
