"""A real LDAP server (OpenLDAP's slapd) for a test, with three entries."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from trunkline.demo.free_port import free_port

SLAPD = shutil.which("slapd", path="/usr/sbin:/usr/lib/openldap:/usr/libexec")
BASE = "dc=example,dc=org"
MANAGER = f"cn=manager,{BASE}"
CONFIG = """include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {directory}/slapd.pid
database mdb
suffix "{base}"
rootdn "{manager}"
rootpw manages
directory {directory}/data
"""
ENTRIES = """dn: {base}
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: ou=people,{base}
objectClass: organizationalUnit
ou: people

dn: uid=ldap_alice,ou=people,{base}
objectClass: inetOrgPerson
uid: ldap_alice
cn: Alice
sn: One
mail: alice@example.org
userPassword: sesame

dn: uid=ldap_bob,ou=people,{base}
objectClass: inetOrgPerson
uid: ldap_bob
cn: Same
sn: Two
userPassword: sesame

dn: cn=ldap_carol,ou=people,{base}
objectClass: inetOrgPerson
cn: Same
cn: ldap_carol
sn: Three
userPassword: sesame
"""


@contextmanager
def directory_server(directory: Path) -> Iterator[int]:
    """The port on which it listens."""
    if SLAPD is None or not Path("/etc/ldap/schema/core.schema").exists():
        pytest.skip("OpenLDAP's slapd is not installed")
    pytest.importorskip("ldap")
    (directory / "data").mkdir()
    config, entries = directory / "slapd.conf", directory / "entries.ldif"
    config.write_text(CONFIG.format(directory=directory, base=BASE, manager=MANAGER))
    entries.write_text(ENTRIES.format(base=BASE))
    subprocess.run([SLAPD, "-T", "add", "-f", config, "-l", entries], check=True, capture_output=True)
    port = free_port()
    command = [SLAPD, "-f", config, "-h", f"ldap://127.0.0.1:{port}", "-d", "0"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            while not _answers(port):
                assert process.poll() is None
            yield port
        finally:
            process.terminate()


def _answers(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
