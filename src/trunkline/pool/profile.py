"""What a new session finds: the parameters that a client's startup settings lead to, as a server has judged them.

Clients with the same startup settings have the same profile, so only the first of them has to wait for a server. The
cache is bounded; the least recently used profile goes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from trunkline.protocol.messages import parameter_status
from trunkline.protocol.params import Params

Settings = tuple[tuple[bytes, bytes], ...]

CAPACITY = 1024
_NAME_BYTES = 63  # NAMEDATALEN - 1: PostgreSQL cuts application_name there


class Profile:
    """Parameters and the ParameterStatus messages that announce them."""

    __slots__ = ("greeting", "params")

    def __init__(self, params: Params) -> None:
        self.params = params
        self.greeting = b"".join(parameter_status(n, v) for n, v in params.reported.items())

    def named(self, application_name: bytes) -> Profile:
        """The same with another application_name."""
        return Profile(self.params.with_reported(b"application_name", application_name))


class Profiles:
    """Judged profiles of one pool, by startup settings; void when the server's own parameters change."""

    def __init__(self) -> None:
        self.base: Params | None = None
        self._known: OrderedDict[Settings, Profile] = OrderedDict()

    def rebase(self, params: Params) -> None:
        """A server has just logged in with these parameters."""
        if self.base is not params:
            self._known.clear()
            self.base = params

    def find(self, settings: Settings) -> Profile | None:
        """The profile for these settings, if a server has judged them already."""
        name, rest = split_name(settings)
        profile = self._known.get(rest)
        if profile is None:
            return None
        self._known.move_to_end(rest)
        return profile if name is None else profile.named(name)

    def learn(self, settings: Settings, params: Params) -> Profile:
        """A server took these settings, and reported `params`."""
        name, rest = split_name(settings)
        if name is not None and self.base is not None:
            default = self.base.reported.get(b"application_name", b"")
            self._known[rest] = Profile(params.with_reported(b"application_name", default))
        else:
            self._known[rest] = Profile(params)
        if len(self._known) > CAPACITY:
            self._known.popitem(last=False)
        return Profile(params)


def split_name(settings: Iterable[tuple[bytes, bytes]]) -> tuple[bytes | None, Settings]:
    """(application_name, the others): a plain name needs no judge, and there may be very many of them."""
    name, rest = None, []
    for key, value in settings:
        if key.lower() == b"application_name" and _is_plain(value):
            name = value
        else:
            rest.append((key, value))
    return name, tuple(rest)


def _is_plain(value: bytes) -> bool:
    return len(value) <= _NAME_BYTES and all(32 <= byte < 127 for byte in value)
