from collections.abc import Iterable

DOUBTFUL_WORDS: frozenset[str]
FIRST_WORDS: dict[str, tuple[str, ...]]

class Vocabulary:
    extra: frozenset[bytes]
    def __init__(self, extra: Iterable[bytes] = ...) -> None: ...

COMMITTING: int
WRITING: int

def sight(words: Vocabulary, sql: bytes) -> frozenset[str]: ...
