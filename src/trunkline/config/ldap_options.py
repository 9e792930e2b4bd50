"""How a user is found in a directory: the ldap... options of auth_ldap_options and of lines of auth_hba_file.

PostgreSQL's, with its two ways: a name between `ldapprefix` and `ldapsuffix` is bound to at once, or `ldapbasedn` is
searched for it first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from trunkline.config.address import BadValue
from trunkline.config.diagnostics import did_you_mean

LDAP_OPTIONS = frozenset(
    "ldapserver ldapport ldapscheme ldaptls ldapprefix ldapsuffix ldapbasedn ldapbinddn ldapbindpasswd "  # noqa: SIM905
    "ldapsearchattribute ldapsearchfilter ldapscope ldapurl".split()
)
_OF_SEARCH = ("ldapbasedn", "ldapbinddn", "ldapbindpasswd", "ldapsearchattribute", "ldapsearchfilter")
_OPTION = re.compile(r'(?:"(?:[^"]|"")*"|[^\s"])+|"')
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')
_SCOPES = ("base", "one", "sub")
_PORTS = {"ldap": "389", "ldaps": "636"}


@dataclass(frozen=True, slots=True)
class LdapOptions:
    """``uris`` with spaces; ``filter`` has $username where the name goes, and is empty where nothing is searched."""

    uris: str
    starts_tls: bool = False
    prefix: str = ""
    suffix: str = ""
    base_dn: str = ""
    bind_dn: str = ""
    bind_password: str = field(default="", repr=False)
    filter: str = ""
    scope: str = "sub"


def split_ldap_options(text: str) -> dict[str, str]:
    """`auth_ldap_options` by name: NAME=VALUE with spaces between, values with spaces in quotes; or BadValue."""
    options = {}
    for match in _OPTION.finditer(text):
        name, equals, value = _QUOTED.sub(lambda quoted: quoted[1].replace('""', '"'), match[0]).partition("=")
        if not equals:
            raise BadValue("must be options as in ldapserver=HOST ldapbasedn=NAME", offset=match.start())
        options[name] = value
    return options


def read_ldap_options(written: Mapping[str, str]) -> LdapOptions:
    """The options by name, or BadValue."""
    for name in written:
        if name not in LDAP_OPTIONS:
            raise BadValue(f"unknown option `{name}`", did_you_mean(name, LDAP_OPTIONS))
    options = {**_of_url(written.get("ldapurl", "")), **written}
    searches = [name for name in _OF_SEARCH if options.get(name)]
    if not options.get("ldapserver"):
        raise BadValue("`ldapserver` is needed", "add ldapserver=HOST or ldapurl=ldap://HOST/...")
    if searches and ("ldapprefix" in options or "ldapsuffix" in options):
        raise BadValue(
            f"`{searches[0]}` is for a search, and `ldapprefix` and `ldapsuffix` are for none", "keep one way"
        )
    if searches and not options.get("ldapbasedn"):
        raise BadValue("`ldapbasedn` is needed for a search")
    if not searches and not ("ldapprefix" in options or "ldapsuffix" in options):
        raise BadValue("`ldapbasedn`, `ldapprefix` or `ldapsuffix` is needed")
    if options.get("ldapsearchattribute") and options.get("ldapsearchfilter"):
        raise BadValue("`ldapsearchattribute` and `ldapsearchfilter` exclude each other")
    return LdapOptions(
        uris=_uris(options),
        starts_tls=_flag(options.get("ldaptls", "0")),
        prefix=options.get("ldapprefix", ""),
        suffix=options.get("ldapsuffix", ""),
        base_dn=options.get("ldapbasedn", ""),
        bind_dn=options.get("ldapbinddn", ""),
        bind_password=options.get("ldapbindpasswd", ""),
        filter=_filter(options) if searches else "",
        scope=_scope(options.get("ldapscope", "sub")),
    )


def _of_url(url: str) -> dict[str, str]:
    """ldap://host:port/basedn?attribute?scope?filter as the options that it stands for."""
    if not url:
        return {}
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.netloc:
        raise BadValue("`ldapurl` must begin with ldap://HOST or ldaps://HOST")
    attribute, _, rest = parts.query.partition("?")
    scope, _, searched = rest.partition("?")
    found = {
        "ldapscheme": parts.scheme,
        "ldapserver": parts.netloc.rpartition("@")[2],
        "ldapport": "",
        "ldapbasedn": unquote(parts.path[1:]),
        "ldapsearchattribute": unquote(attribute),
        "ldapscope": scope,
        "ldapsearchfilter": unquote(searched),
    }
    return {name: value for name, value in found.items() if value or name == "ldapport"}


def _uris(options: Mapping[str, str]) -> str:
    scheme = options.get("ldapscheme", "ldap")
    if scheme not in _PORTS:
        raise BadValue(f"`ldapscheme` is ldap or ldaps, not `{scheme}`")
    port = options.get("ldapport", _PORTS[scheme])
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise BadValue(f"`ldapport` is no port: `{port}`")
    return " ".join(f"{scheme}://{host}" + (f":{port}" if port else "") for host in options["ldapserver"].split())


def _flag(written: str) -> bool:
    if written not in ("0", "1"):
        raise BadValue("`ldaptls` is 0 or 1")
    return written == "1"


def _scope(written: str) -> str:
    if written not in _SCOPES:
        raise BadValue("the scope of a search is " + ", ".join(_SCOPES))
    return written


def _filter(options: Mapping[str, str]) -> str:
    if options.get("ldapsearchfilter"):
        return options["ldapsearchfilter"]
    return f"({options.get('ldapsearchattribute') or 'uid'}=$username)"
