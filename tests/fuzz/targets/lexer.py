"""Any text has the tokens that PostgreSQL's own scanner finds, and what its parser sees in it is seen at a glance too.

What the glance takes for harmless is never parsed, so whatever the parse tree says a text may leave in a session has to
show at the glance; wrong on the other side costs a parse. Input: a byte a piece of SQL, or any bytes behind a 255.
"""

from __future__ import annotations

from pglast.parser import ParseError, scan

from tests.fuzz.reader import Reader
from trunkline.routing.session.session_effects import effects_of
from trunkline.routing.sql import parse
from trunkline.routing.text.lexer import Vocabulary, sight
from trunkline.routing.text.template import dotted_names, template, words_of

WORDS = Vocabulary()
PIECES = (
    *(" ", "\n", "\t", "\r", ";", ",", ".", "(", ")", "[", "]", "*", "+", "-", "/", "=", "<", ">", "::", ":", "@", "|"),
    *("'", "''", '"', '""', "$$", "$a$", "$", "$1", "\\", "\\'", "--", "/*", "*/", "e'", "E'", "b'", "x'", "n'", "u&'"),
    *('U&"', "u&", "uescape '!'", "é", "_", "a", "b", "e", "x", "1", "0", "1.5", ".5", "0x1F", "0b1", "1_000", "1e-5"),
    *("'text'", '"Name"', "$$body$$", "/* note */", "-- note\n", "t", "c", "public.t", "pg_temp.t", "pg_catalog."),
    *(
        "select ",
        "values ",
        "from ",
        "into ",
        "where ",
        "as ",
        "for ",
        "update ",
        "insert ",
        "delete ",
        "with ",
        "set ",
    ),
    *(
        "local ",
        "session ",
        "to ",
        "reset ",
        "all ",
        "role ",
        "show ",
        "begin ",
        "commit ",
        "end ",
        "rollback ",
        "abort ",
    ),
    *("prepare ", "transaction ", "execute ", "deallocate ", "discard ", "temp ", "temporary ", "table ", "create "),
    *(
        "drop ",
        "declare ",
        "cursor ",
        "with hold ",
        "close ",
        "fetch ",
        "listen ",
        "unlisten ",
        "notify ",
        "load ",
        "do ",
    ),
    *("copy ", "explain ", "analyze ", "lock ", "start ", "savepoint ", "call ", "on commit drop ", "isolation level "),
    *("set_config('a.b', '1', false)", "setseed(1)", "pg_advisory_lock(1)", "pg_try_advisory_lock(1)", "lastval()"),
    *(
        "search_path ",
        "work_mem ",
        "timezone ",
        "session authorization ",
        "characteristics ",
        "read only ",
        "values (1)",
    ),
)
STRINGS = ("SCONST", "USCONST", "BCONST", "XCONST")
NUMBERS = ("ICONST", "FCONST")
COMMENTS = ("SQL_COMMENT", "C_COMMENT")


def check(data: bytes) -> None:
    text = write(Reader(data))
    seen, key = sight(WORDS, text), template(text)
    words_of(text), dotted_names(text)
    expected = scanned(text)
    if expected is None:
        return
    if b"set_config" not in text.lower():  # whose argument is part of the template
        assert key == expected, (text, key, expected)
    if "ambiguous" not in seen:
        check_glance(text, seen)


def write(reader: Reader) -> bytes:
    pieces = []
    while reader:
        choice = reader.byte()
        pieces.append(reader.chunk() if choice == 255 else PIECES[choice % len(PIECES)].encode())
    return b"".join(pieces)


def scanned(text: bytes) -> bytes | None:
    """The template by PostgreSQL's scanner; None where that finds no tokens."""
    try:
        sql = text.decode()
        tokens = scan(sql)
    except (ParseError, UnicodeDecodeError):
        return None
    if "\0" in sql:
        return None
    parts = []
    for token in tokens:
        said = sql[token.start : token.end + 1]
        if token.name in STRINGS or token.name in NUMBERS:
            parts.append("?")
        elif said in ("n", "N") and sql[token.end + 1 : token.end + 2] == "'":
            continue  # PostgreSQL makes two tokens of n'text': a type and a constant
        elif token.name not in COMMENTS:
            parts.append(said)
    return "".join(part + " " for part in parts).encode()


def check_glance(text: bytes, seen: frozenset[str]) -> None:
    statements = parse(text)
    if statements is None:
        return
    effects = effects_of(text)
    if effects.leaves or effects.ends or effects.resets or effects.uses_prepared:
        assert "doubtful" in seen, (text, effects)
    for name, node in statements:
        if name == "TransactionStmt" and node.get("kind") in ("TRANS_STMT_COMMIT", "TRANS_STMT_PREPARE"):
            assert "commits" in seen, text
