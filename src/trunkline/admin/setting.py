"""SET: of our settings by an admin, until the next RELOAD; of what drivers set on their own, with no effect.

A name that is neither is an error: a misspelt setting must not seem to have been changed.
"""

from __future__ import annotations

from trunkline.admin.commands import Answer, Command, Request, register
from trunkline.admin.result import ConsoleError
from trunkline.config.diagnostics import ConfigErrors, did_you_mean
from trunkline.config.global_settings import Settings
from trunkline.config.table import specs
from trunkline.errors import AdminNotAllowed, AdminSyntaxError

_IGNORED = frozenset(
    "application_name bytea_output characteristics client_encoding client_min_messages constraints datestyle "  # noqa: SIM905
    "default_transaction_deferrable default_transaction_isolation default_transaction_read_only escape_string_warning "
    "extra_float_digits idle_in_transaction_session_timeout idle_session_timeout intervalstyle jit lc_messages "
    "lock_timeout names plan_cache_mode role row_security search_path session_authorization "
    "standard_conforming_strings statement_timeout synchronous_commit time timezone transaction "
    "transaction_isolation transaction_read_only transaction_timeout xmloption".split()
)
"""The first word of what drivers and tools set: parameters of PostgreSQL, and forms such as SET NAMES."""

_SCOPES = ("SESSION", "LOCAL")


async def _set(request: Request) -> Answer:
    words = request.words
    if words and words[0].upper() in _SCOPES:
        words = words[1:]
    if not words:
        raise AdminSyntaxError("SET needs a name and a value")
    name = words[0].lower()
    if name in _IGNORED or "." in name:
        return Answer(notices=("SET ignored",))
    if name not in specs(Settings):
        hint = did_you_mean(name, specs(Settings)) or None
        raise ConsoleError("22023", "SET failed", detail=f'There is no setting "{name}".', hint=hint)
    if not request.identity.may_administer(request.instance.config.settings):
        raise AdminNotAllowed("admin access needed", hint="It is for admin_users.")
    value = _value(words)
    _check_reloadable(name)
    try:
        request.instance.set(name, value)
        if request.instance.siblings is not None:
            await request.instance.siblings.ask("set", name=name, value=value)
    except ConfigErrors as error:
        first = error.diagnostics[0]
        raise ConsoleError("22023", "SET failed", detail=first.message, hint=first.hint or None) from None
    return Answer(tag=f"SET {name}={value}")


def _value(words: tuple[str, ...]) -> str:
    """What stands behind `name =` or `name TO`."""
    if len(words) < 3 or words[1].upper() not in ("=", "TO"):
        raise AdminSyntaxError(f"invalid command 'SET {' '.join(words)}', use SHOW HELP;")
    return "".join(words[2:])


def _check_reloadable(name: str) -> None:
    if not specs(Settings)[name][1].reloadable:
        raise ConsoleError("55P02", f'setting "{name}" cannot be changed without restarting')


register(Command(("SET",), _set, "SET", argument=None, shown_as="SET key = value"))
