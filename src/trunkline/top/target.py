"""Where the console is: a URL, or the file that Trunkline serves, which says where it listens and who may look."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from trunkline.auth.secret import Secret, SecretKind
from trunkline.config.settings import Config
from trunkline.config.target import read_target

DEFAULT = "postgres://127.0.0.1:6432/pgbouncer"


def url_of(target: str | None, environ: Mapping[str, str]) -> str:
    """The console's URL; ConfigErrors if a file is named that is wrong."""
    if target is None:
        return DEFAULT
    return target if "://" in target else _of(read_target(target, environ))


def _of(config: Config) -> str:
    settings = config.settings
    user = next((name for name in (*settings.admin_users, *settings.stats_users) if name != "*"), "")
    stored = config.secrets.get(user, "") if user else ""
    plain = stored if stored and Secret.parse(stored).kind is SecretKind.PLAIN else ""
    login = quote(user, safe="") + (f":{quote(plain, safe='')}" if plain else "") + ("@" if user else "")
    first = settings.listen_addr.split(",")[0].strip()
    if not first:
        where = {"host": settings.unix_socket_dir, "port": settings.listen_port}
        return f"postgres://{login}/pgbouncer?{urlencode(where)}"
    host = {"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(first, first)
    return f"postgres://{login}{f'[{host}]' if ':' in host else host}:{settings.listen_port}/pgbouncer"
