"""How users are found in a directory."""

from __future__ import annotations

import re

import pytest

from trunkline.config.address import BadValue
from trunkline.config.ldap_options import LdapOptions, read_ldap_options, split_ldap_options


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("ldapserver=h ldapprefix=uid=", LdapOptions("ldap://h:389", prefix="uid=")),
        (
            'ldapserver="a b" ldapscheme=ldaps ldapsuffix="@example.org" ldaptls=0',
            LdapOptions("ldaps://a:636 ldaps://b:636", suffix="@example.org"),
        ),
        (
            'ldapserver=h ldapport=3389 ldaptls=1 "ldapbasedn=dc=a b" ldapbinddn=cn=x ldapbindpasswd="s""x"',
            LdapOptions(
                "ldap://h:3389", True, base_dn="dc=a b", bind_dn="cn=x", bind_password='s"x', filter="(uid=$username)"
            ),
        ),
        (
            "ldapserver=h ldapbasedn=dc=a ldapsearchattribute=cn",
            LdapOptions("ldap://h:389", base_dn="dc=a", filter="(cn=$username)"),
        ),
        (
            "ldapurl=ldap://h:3389/dc=a%20b?cn?one ldapbinddn=cn=x",
            LdapOptions("ldap://h:3389", base_dn="dc=a b", bind_dn="cn=x", filter="(cn=$username)", scope="one"),
        ),
        (
            "ldapurl=ldaps://h/dc=a??sub?(mail=$username)",
            LdapOptions("ldaps://h", base_dn="dc=a", filter="(mail=$username)"),
        ),
    ],
)
def test_the_two_ways_as_options_and_as_a_url(text: str, options: LdapOptions) -> None:
    assert read_ldap_options(split_ldap_options(text)) == options


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "`ldapserver` is needed"),
        ("ldapservr=h", "unknown option `ldapservr`"),
        ("nonsense", "must be options as in"),
        ('ldapserver="h', "must be options as in"),
        ("ldapserver=h", "`ldapbasedn`, `ldapprefix` or `ldapsuffix` is needed"),
        ("ldapserver=h ldapprefix=x ldapbasedn=y", "`ldapbasedn` is for a search"),
        ("ldapserver=h ldapbinddn=x", "`ldapbasedn` is needed for a search"),
        ("ldapserver=h ldapbasedn=x ldapsearchattribute=a ldapsearchfilter=b", "exclude each other"),
        ("ldapserver=h ldapprefix=x ldapport=0", "no port"),
        ("ldapserver=h ldapprefix=x ldapscheme=http", "is ldap or ldaps"),
        ("ldapserver=h ldapprefix=x ldaptls=yes", "`ldaptls` is 0 or 1"),
        ("ldapurl=http://h/dc=a", "must begin with ldap://HOST"),
        ("ldapurl=ldap://h/dc=a??all", "the scope of a search is base, one, sub"),
    ],
)
def test_what_is_wrong_is_said(text: str, says: str) -> None:
    with pytest.raises(BadValue, match=re.escape(says)):
        read_ldap_options(split_ldap_options(text))


def test_a_repr_shows_no_password() -> None:
    assert "hidden" not in repr(LdapOptions("ldap://h", bind_password="hidden"))
