"""The text format of message scripts, read into `Script` values. README.md says what it looks like.

Rules:
1. A line is a header, a step or a message, found by its first word in `HEADERS`, `STEPS` or `encoding.LETTERS`.
2. What is not understood ends the reading with the file, the line's number and what was expected there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

from tests.differential.encoding import LETTERS, NotUnderstood, encode
from tests.differential.script import (
    COMPARISONS,
    END,
    NOTHING,
    Cancel,
    Elsewhere,
    Read,
    Say,
    Script,
    Step,
    Until,
    Vanish,
)

SCRIPTS = Path(__file__).parent / "scripts"
MODES = ("session", "transaction", "statement")
USERS = ("diff_owner", "diff_plain")

CLIENT = re.compile(r"@(\d) ")
TITLE = re.compile(r"== ([a-z0-9][a-z0-9 ]*)")


class ScriptError(Exception):
    """A script file with a line that cannot be read."""


# --- headers: what holds for the whole script -------------------------------------------------------------------


def _startup(script: Script, client: int, words: str) -> None:
    name, sign, value = words.partition("=")
    if not sign:
        raise NotUnderstood("startup wants name=value")
    script.startup.setdefault(client, {})[name] = value


def _given(script: Script, client: int, words: str) -> None:
    script.given.append(words)


def _mode(script: Script, client: int, words: str) -> None:
    script.modes = tuple(words.split())
    if not set(script.modes) <= set(MODES):
        raise NotUnderstood(f"mode wants some of {' '.join(MODES)}")


def _requires(script: Script, client: int, words: str) -> None:
    match words.split():
        case ["postgres", sign, number] if sign in COMPARISONS and number.isdigit():
            script.requires.append((sign, int(number)))
        case _:
            raise NotUnderstood(f"requires wants: postgres {' or '.join(COMPARISONS)} 18")


def _user(script: Script, client: int, words: str) -> None:
    if words not in USERS:
        raise NotUnderstood(f"user wants one of {' '.join(USERS)}")
    script.user = words


def _hide(script: Script, client: int, words: str) -> None:
    re.compile(words)
    script.hidden.append(words)


def _silent(script: Script, client: int, words: str) -> None:
    if words:
        raise NotUnderstood("silent stands alone")
    script.silent = True


Header = Callable[[Script, int, str], None]
HEADERS: Mapping[str, Header] = {
    "startup": _startup,
    "given": _given,
    "mode": _mode,
    "requires": _requires,
    "user": _user,
    "hide": _hide,
    "silent": _silent,
}

# --- steps ------------------------------------------------------------------------------------------------------

READ = re.compile(r"(?:(?P<special>end|nothing)|(?P<types>[A-Za-z0-9])(?: (?P<count>\d+))?|(?P<frames>\d+) frames)?")


def _read(line: int, client: int, words: str) -> Step:
    found = READ.fullmatch(words)
    if found is None:
        raise NotUnderstood(f"-> wants nothing, end, a type, a type and a count, or '5 frames', not {words!r}")
    if found["special"]:
        return Read(line, client, END if found["special"] == "end" else NOTHING, 0)
    if found["frames"]:
        return Read(line, client, "", int(found["frames"]))
    return Read(line, client, found["types"] or "Z", int(found["count"] or 1))


STEPS: Mapping[str, Callable[[int, int, str], Step]] = {
    "->": _read,
    "cancel": lambda line, client, words: Cancel(line, client),
    "vanish": lambda line, client, words: Vanish(line, client),
    "until": Until,
    "elsewhere": Elsewhere,
}

# --- files ------------------------------------------------------------------------------------------------------


def _lines(source: str) -> Iterator[tuple[int, str]]:
    """Logical lines and their numbers: comments and empty lines left out, indented lines joined to the one before."""
    number, line = 0, ""
    for at, physical in enumerate(source.splitlines(), 1):
        if line and physical[:1] == " " and physical.strip():
            line += "\n" + physical.strip()
            continue
        if line:
            yield number, line
        number, line = at, "" if physical.startswith(("#", "--")) else physical.rstrip()
    if line:
        yield number, line


def parse(source: str, family: str, file: str) -> list[Script]:
    """All scripts of one file."""
    scripts: list[Script] = []
    for number, line in _lines(source):
        try:
            if line.startswith("== "):
                scripts.append(_begin(line, family, file, number))
            elif not scripts:
                raise NotUnderstood("a file begins with '== title of the first script'")
            else:
                _add(scripts[-1], number, line)
        except (NotUnderstood, re.error) as error:
            raise ScriptError(f"{file}, line {number}: {error}") from None
    for script in scripts:
        if not script.steps:
            raise ScriptError(f"{file}, line {script.line}: the script {script.title!r} says nothing")
    return scripts


def _begin(line: str, family: str, file: str, number: int) -> Script:
    found = TITLE.fullmatch(line)
    if found is None:
        raise NotUnderstood("a title is of small letters, digits and spaces")
    return Script(family, found[1], file, number)


def _add(script: Script, number: int, line: str) -> None:
    marked = CLIENT.match(line)
    client = int(marked[1]) if marked else 1
    word, _, words = (line[marked.end() :] if marked else line).partition(" ")
    if word in HEADERS:
        if script.steps:
            raise NotUnderstood(f"{word} comes before the first message")
        HEADERS[word](script, client, words)
    elif word in STEPS:
        script.steps.append(STEPS[word](number, client, words))
    else:
        _add_message(script, number, client, word, words)


def _add_message(script: Script, number: int, client: int, word: str, words: str) -> None:
    """`Q! ...` is `Q ...` and a `->` behind it."""
    letter = word.removesuffix("!")
    if letter not in LETTERS:
        known = " ".join([*LETTERS, *STEPS, *HEADERS])
        raise NotUnderstood(f"a line does not begin with {word!r}; there are {known}")
    script.steps.append(Say(number, client, encode(letter, words)))
    if word.endswith("!"):
        script.steps.append(Read(number, client))


@cache
def corpus() -> tuple[Script, ...]:
    """Every script below `scripts/`; the directory is its family."""
    files = sorted(SCRIPTS.rglob("*.msg"))
    return tuple(
        script
        for path in files
        for script in parse(path.read_text(), path.parent.name, path.relative_to(SCRIPTS).as_posix())
    )
