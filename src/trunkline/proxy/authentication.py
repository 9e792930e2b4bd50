"""Who a client is: finding its secret, and carrying out the exchange that `auth` decides."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from trunkline.auth import messages
from trunkline.auth.login import ClientAuthentication
from trunkline.auth.messages import AuthCode
from trunkline.auth.replies import Accept, Derive, Send
from trunkline.auth.secret import Secret
from trunkline.config.hba import Rule, Visit
from trunkline.config.ldap_options import LdapOptions
from trunkline.config.settings import RESERVED_DATABASES
from trunkline.errors import AuthenticationFailed, NotAuthorized, ProtocolViolation
from trunkline.net.credentials import peer_id, peer_user
from trunkline.net.inbox import ConnectionEnded
from trunkline.net.pam import SERVICE
from trunkline.pool.opening import Credentials

if TYPE_CHECKING:
    from trunkline.net.inbox import Inbox
    from trunkline.protocol.startup import StartupMessage
    from trunkline.proxy.client import ClientLink
    from trunkline.proxy.identity import Identity
    from trunkline.proxy.login import Door


log = logging.getLogger("trunkline.client")

OWNER = "pgbouncer"
NO_OPTIONS: Mapping[str, str] = MappingProxyType({})


class Authentication:
    """One client before its login; it ends with the bytes of the server's last word, or a TrunklineError."""

    __slots__ = ("_door", "_identity", "_inbox", "_learned", "_link")

    def __init__(self, door: Door, link: ClientLink, inbox: Inbox, identity: Identity) -> None:
        self._door = door
        self._link = link
        self._inbox = inbox
        self._identity = identity
        self._learned: Secret | None = None

    async def run(self, startup: StartupMessage) -> bytes:
        if self._is_owner():
            self._identity.is_owner = True
            return messages.authentication(AuthCode.OK)
        method, options, ldap = self._door.config.settings.auth_type, NO_OPTIONS, self._door.config.ldap
        if method == "hba":
            rule = await self._rule(startup)
            method, options, ldap = rule.method, rule.options, rule.ldap
        if method in ("ldap", "pam"):
            reply = await self._ask_elsewhere(options, ldap if method == "ldap" else None)
        else:
            reply = await self._exchange(method, options)
        self._prove(reply)
        return reply.payload

    def _is_owner(self) -> bool:
        """Whoever runs this process may be `pgbouncer` at the console, over a Unix socket, as in PgBouncer."""
        identity = self._identity
        wanted = identity.peer.is_unix and identity.user == OWNER and identity.database in RESERVED_DATABASES
        return wanted and peer_id(self._link.fileno()) == os.geteuid()

    async def _rule(self, startup: StartupMessage) -> Rule:
        """The first line of auth_hba_file that fits, if it is one by which to come in."""
        identity, peer = self._identity, self._identity.peer
        host = None if peer.is_unix else peer.host
        visit = Visit(identity.database, identity.user, host, self._link.is_tls, startup.replication == b"true")
        if self._door.config.hba.depends_on_roles(visit):
            visit = replace(visit, roles=await self._door.auth_queries.roles(identity.database, identity.user))
        rule = self._door.config.hba.find(visit)
        if rule is not None and rule.method != "reject":
            return rule
        log.info("%s", f"{rule.file}:{rule.line} rejects {visit}" if rule else f"no line of auth_hba_file for {visit}")
        raise NotAuthorized("login rejected", detail=f"No entry of auth_hba_file allows {visit}.")

    async def _ask_elsewhere(self, options: Mapping[str, str], ldap: LdapOptions | None) -> Accept:
        """Have the system, or a directory, judge a password in clear text; it is what logs in to servers, too."""
        user = self._identity.user
        self._link.write(messages.authentication(AuthCode.CLEARTEXT_PASSWORD))
        password = messages.read_password(await self._message(messages.MAX_PASSWORD_BYTES))
        if not password:
            raise AuthenticationFailed("empty password returned by client")
        if ldap is not None:
            accepted = await self._door.ldap.accepts(user, password, ldap)
        else:
            name, peer = user.encode(errors="surrogateescape"), self._identity.peer
            host = b"" if peer.is_unix else peer.host.encode()
            accepted = await self._door.pam.accepts(name, password, host, options.get("pamservice") or SERVICE)
        if not accepted:
            raise NotAuthorized(f'{"PAM" if ldap is None else "LDAP"} authentication failed for user "{user}"')
        return Accept(messages.authentication(AuthCode.OK), password=password)

    async def _secret(self) -> Secret | None:
        """The stored secret; an empty one, which matches nothing, says that the user exists."""
        config, user = self._door.config, self._identity.user
        text = config.user(user).password
        if text is None:
            text = config.secrets.get(user)
        if text is None:
            self._learned = await self._door.auth_queries.ask(self._identity.database, user)
            if self._learned is not None:
                return self._learned
            text = "" if user in config.users else None
        return None if text is None else Secret.parse(text)

    async def _stands_for(self, system_user: str | None, options: Mapping[str, str]) -> str | None:
        """The user that one with this name elsewhere may be here, empty for nobody; None if there is no name."""
        user, name, maps = self._identity.user, options.get("map", ""), self._door.config.hba.maps
        if system_user is None:
            return None
        roles: frozenset[str] = frozenset()
        if maps.depends_on_roles(name, system_user, user):
            roles = await self._door.auth_queries.roles(self._identity.database, user)
        return user if maps.allows(name, system_user, user, roles) else ""

    async def _exchange(self, method: str, options: Mapping[str, str]) -> Accept:
        door, channel = self._door, self._link.tls_channel
        owner = peer_user(self._link.fileno()) if method == "peer" else None
        exchange = ClientAuthentication(
            method,
            self._identity.user,
            await self._secret() if method != "any" else None,
            seed=door.auth_queries.seed(self._identity.database, door.seed),
            tls=channel is not None,
            certificate_hash=door.tls.certificate_hash,
            certificate_user=await self._stands_for(channel.peer_name() if channel is not None else None, options),
            system_user=await self._stands_for(owner, options),
        )
        reply = exchange.start()
        while not isinstance(reply, Accept):
            if isinstance(reply, Derive):
                reply = exchange.derived(await door.derivation.keys(reply))
                continue
            assert isinstance(reply, Send)
            self._link.write(reply.payload)
            reply = exchange.feed(await self._message(exchange.max_message_bytes))
        return reply

    async def _message(self, max_bytes: int) -> bytes:
        """The body of the client's next authentication message."""
        kind, body = await self._inbox.message(max_bytes)
        if kind == ord("X"):
            raise ConnectionEnded
        if kind != ord("p"):
            raise ProtocolViolation(f"expected password response, got message type {kind}")
        return body

    def _prove(self, reply: Accept) -> None:
        """Keep what was shown, for logins to servers."""
        user, pools = self._identity.user, self._door.pools
        keys = (reply.client_key, reply.server_key) if reply.client_key and reply.server_key else None
        if self._learned is None:
            pools.prove(user, reply.password, keys)
        else:
            pools.learn(self._identity.database, Credentials(user, reply.password, self._learned, keys))
