"""What operators have ordered and is still in force: a worker that is started later has to hear of it. Pure."""

from __future__ import annotations

from typing import Any, TypeAlias

Order: TypeAlias = tuple[str, dict[str, Any]]

_STOPS = ("PAUSE", "KILL")
_LASTING = (*_STOPS, "DISABLE", "RESUME")


class Standing:
    """Orders in the order in which they were given."""

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.suspended_by = 0  # the worker whose console has said SUSPEND

    @property
    def is_paused(self) -> bool:
        """Whether all databases are."""
        return ("act", {"name": "PAUSE", "argument": ""}) in self.orders

    def note(self, verb: str, arguments: dict[str, Any], by: int = 0) -> None:
        """This was ordered."""
        name, about = arguments.get("name", ""), arguments.get("argument", "")
        if verb == "set":
            self.orders.append(("set", arguments))
        elif verb == "resume" or (verb == "act" and name == "RESUME" and not about):
            self.suspended_by = 0
            self._drop(*_STOPS, "RESUME")
        elif verb == "act":
            self._note_act(name, about, by)

    def _note_act(self, name: str, about: str, by: int) -> None:
        if name == "SUSPEND":
            self.suspended_by = by
        elif name == "RELOAD":  # the file says all settings anew
            self.orders = [order for order in self.orders if order[0] != "set"]
        elif name == "ENABLE":
            self._drop("DISABLE", about=about)
        elif name in _LASTING:
            self._drop(*_STOPS, "RESUME", about=about) if name != "DISABLE" else self._drop("DISABLE", about=about)
            if name != "RESUME" or any(order[1].get("argument") == "" for order in self.orders):
                self.orders.append(("act", {"name": "PAUSE" if name == "KILL" else name, "argument": about}))

    def _drop(self, *names: str, about: str | None = None) -> None:
        """Orders of these kinds that are over: about everything, or one database."""
        self.orders = [
            order
            for order in self.orders
            if order[1].get("name") not in names or about not in (None, order[1].get("argument"))
        ]
