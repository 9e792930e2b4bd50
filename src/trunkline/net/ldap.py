"""Passwords judged by an LDAP server, in threads: python-ldap waits for its answers.

The library is an extra (`pip install trunkline[ldap]`), imported at the first login that needs it.
"""

from __future__ import annotations

import logging
from typing import Any

from trunkline.config.ldap_options import LdapOptions
from trunkline.errors import AuthUnavailable
from trunkline.net.offload import Offload

log = logging.getLogger("trunkline.client")

_SPECIAL = frozenset('*()\\/,+"<>;=#\0')  # what could change a filter or the name of an entry
_THREADS = 4


class Ldap:
    """`timeout_s` is for each connection and each answer."""

    def __init__(self, timeout_s: float = 10.0) -> None:
        self._timeout_s = timeout_s
        self._threads = Offload("ldap", _THREADS)

    async def accepts(self, user: str, password: bytes, options: LdapOptions) -> bool:
        """Whether the password is that of the user's entry; an empty one, which servers take for no login, is none."""
        if not password or _SPECIAL & set(user) or not user.isprintable():
            return False
        return await self._threads.run(self._ask, user, password.decode(errors="replace"), options)

    def close(self) -> None:
        self._threads.close()

    def _ask(self, user: str, password: str, options: LdapOptions) -> bool:
        try:
            import ldap
        except ImportError as error:
            log.error("LDAP cannot be used: %s", error)
            raise AuthUnavailable("bouncer config error") from None
        try:
            name = self._entry(ldap, user, options) if options.filter else f"{options.prefix}{user}{options.suffix}"
            if name is None:
                return False
            return self._binds(ldap, options, name, password)
        except ldap.LDAPError as error:
            log.error("LDAP at %s: %s", options.uris, _words(error))
            raise AuthUnavailable("bouncer config error") from None

    def _entry(self, ldap: Any, user: str, options: LdapOptions) -> str | None:
        """The name of the one entry that is the user's."""
        connection = self._connect(ldap, options)
        try:
            connection.simple_bind_s(options.bind_dn, options.bind_password)
            scope = {"base": ldap.SCOPE_BASE, "one": ldap.SCOPE_ONELEVEL, "sub": ldap.SCOPE_SUBTREE}[options.scope]
            wanted = options.filter.replace("$username", user)
            found = connection.search_ext_s(
                options.base_dn, scope, wanted, ["1.1"], timeout=self._timeout_s, sizelimit=0
            )
        finally:
            connection.unbind_s()
        names = [name for name, _ in found if name is not None]  # without a name, it is a referral
        if len(names) > 1:
            log.error("LDAP at %s: %s is not one entry but %d", options.uris, wanted, len(names))
        return names[0] if len(names) == 1 else None

    def _binds(self, ldap: Any, options: LdapOptions, name: str, password: str) -> bool:
        connection = self._connect(ldap, options)
        try:
            connection.simple_bind_s(name, password)
        except (ldap.INVALID_CREDENTIALS, ldap.NO_SUCH_OBJECT, ldap.INVALID_DN_SYNTAX, ldap.INAPPROPRIATE_AUTH):
            return False
        finally:
            connection.unbind_s()
        return True

    def _connect(self, ldap: Any, options: LdapOptions) -> Any:
        connection = ldap.initialize(options.uris)
        connection.set_option(ldap.OPT_REFERRALS, 0)
        connection.set_option(ldap.OPT_NETWORK_TIMEOUT, self._timeout_s)
        connection.set_option(ldap.OPT_TIMEOUT, self._timeout_s)
        if options.starts_tls:
            connection.start_tls_s()
        return connection


def _words(error: Exception) -> str:
    said = error.args[0] if error.args else {}
    return str(said.get("desc", error)) if isinstance(said, dict) else str(error)
