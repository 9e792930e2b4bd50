"""Playbooks: what happens to a ServerSession, line by line, with what has to come of it.

    >> parse swallow p1      a request by name, its action (forward if none) and a note; `skipped` if it was not entered
    << 1 give                a reply of the server and the verdict on it; ZI is ReadyForQuery with status I
    ~~ copy_done             CopyDone or CopyFail went to the server
    ?? parse                 the request whose reply is ours to give now (`-`: none)
    == free                  a property of the session, or what `property_of` knows

The lines are replayed and written down again as they really went; a mismatch is shown as a diff of the two.
"""

from __future__ import annotations

import difflib

from trunkline.protocol.server_session import REQUEST_NAMES, ServerSession

ACTIONS = ("forward", "swallow", "fake")


def play(script: str, session: ServerSession | None = None) -> ServerSession:
    """Run the script; AssertionError with a diff where the session did otherwise."""
    session = session or ServerSession()
    expected = [" ".join(line.split()) for line in script.splitlines() if line.strip()]
    really = [f"{line[:2]} {_STEPS[line[:2]](session, line[2:].split())}".strip() for line in expected]
    if really != expected:
        raise AssertionError("\n" + "\n".join(difflib.ndiff(expected, really)))
    return session


def _request(session: ServerSession, words: list[str]) -> str:
    name, *rest = [word for word in words if word != "skipped"]
    action = next((word for word in rest if word in ACTIONS), "forward")
    note = next((word for word in rest if word not in ACTIONS), None)
    entered = session.request(name, action, note)
    return " ".join([name, *rest, *([] if entered else ["skipped"])])


def _reply(session: ServerSession, words: list[str]) -> str:
    kind, status = words[0][0], words[0][1:]
    return f"{words[0]} {session.reply(kind, status or chr(0))}"


def _copy_done(session: ServerSession, words: list[str]) -> str:
    session.copy_done()
    return "copy_done"


def _fake(session: ServerSession, words: list[str]) -> str:
    return session.fake() or "-"


def _property(session: ServerSession, words: list[str]) -> str:
    return " ".join(property_of(session, word) for word in words)


def property_of(session: ServerSession, word: str) -> str:
    """The word as it is true of the session: `free`, `owes=2`, `undone=bind:b1,execute`."""
    name, equals, _ = word.partition("=")
    if equals:
        return f"{name}={_VALUES[name](session)}"
    plain = word.removeprefix("not-")
    return plain if getattr(session, plain) else f"not-{plain}"


def undone_of(session: ServerSession) -> str:
    """`request:note`, oldest first, an exclamation mark behind the one that failed."""
    return ",".join(f"{REQUEST_NAMES[r]}:{note}{'!' if failed else ''}" for r, _, note, failed in session.undone)


_STEPS = {">>": _request, "<<": _reply, "~~": _copy_done, "??": _fake, "==": _property}
_VALUES = {
    "owes": lambda session: session.count,
    "units": lambda session: session.units,
    "status": lambda session: chr(session.status),
    "copying": lambda session: ("no", "in", "out", "both")[session.copying],
    "undone": undone_of,
}
