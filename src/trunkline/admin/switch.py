"""SWITCH DATABASE: a database goes on at another server, and its clients only wait a moment (see `proxy.switching`)."""

from __future__ import annotations

from trunkline.admin.commands import Answer, Request, action
from trunkline.admin.result import ConsoleError
from trunkline.config.address import BadValue, ServerAddress, parse_url
from trunkline.errors import AdminSyntaxError

USAGE = "SWITCH DATABASE app TO 'postgres://user:password@host:port'"


@action("SWITCH DATABASE", argument="db TO url")
async def switch(request: Request) -> Answer:
    """Answers when it is done. If the client leaves before the target is promoted, it is given up."""
    name, target = _read(request.words)
    if request.instance.siblings is not None:
        hint = "Change the configuration between PAUSE and RESUME, and RELOAD."
        raise ConsoleError("0A000", "SWITCH DATABASE is for an instance of one worker", hint=hint)
    return Answer(notices=tuple(await request.instance.switches.switch(name, target)))


def _read(words: tuple[str, ...]) -> tuple[str, ServerAddress]:
    """The name and the target; an error never repeats the URL, which may hold a password."""
    if len(words) != 3 or words[1].upper() != "TO":
        raise AdminSyntaxError("a database and a URL are needed", hint=f"Write {USAGE}.")
    try:
        url = parse_url(words[2])
    except BadValue as error:
        raise AdminSyntaxError(
            f"the URL cannot be read: {error.message}", hint=error.hint or f"Write {USAGE}."
        ) from None
    if url.parameters:
        raise AdminSyntaxError("parameters cannot stand in this URL")
    if len(url.hosts) != 1:
        raise AdminSyntaxError("the target is one host")
    return words[0], url.addresses()[0]
