"""The clients: what each one needs from its registry, and the script that it runs.

One entry here is all that a further client of the same ecosystem takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SCRIPTS = Path(__file__).parent


@dataclass(frozen=True)
class Client:
    """A client of an ecosystem (one of ``ecosystems.ECOSYSTEMS``); its script is in that ecosystem's folder."""

    name: str
    ecosystem: str
    script: str
    requires: tuple[str, ...]
    arguments: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        return SCRIPTS / self.ecosystem / self.script

    @property
    def database(self) -> str:
        """The name of the database that this client works in."""
        return "".join(letter if letter.isalnum() else "_" for letter in self.name.lower())


PSYCOPG = "psycopg[binary,pool]>=3.2"
PSYCOPG2 = "psycopg2-binary>=2.9"
ASYNCPG = "asyncpg>=0.30"
PG8000 = "pg8000>=1.31"
SQLALCHEMY = "sqlalchemy[asyncio]>=2"

CLIENTS: tuple[Client, ...] = (
    Client("psycopg 3", "python", "with_psycopg.py", (PSYCOPG,)),
    Client("psycopg2", "python", "with_psycopg2.py", (PSYCOPG2,)),
    Client("asyncpg", "python", "with_asyncpg.py", (ASYNCPG,)),
    Client("pg8000", "python", "with_pg8000.py", (PG8000,)),
    Client("SQLAlchemy over psycopg", "python", "with_sqlalchemy.py", (SQLALCHEMY, PSYCOPG), ("psycopg",)),
    Client("SQLAlchemy over psycopg2", "python", "with_sqlalchemy.py", (SQLALCHEMY, PSYCOPG2), ("psycopg2",)),
    Client("SQLAlchemy over pg8000", "python", "with_sqlalchemy.py", (SQLALCHEMY, PG8000), ("pg8000",)),
    Client("SQLAlchemy over asyncpg", "python", "with_sqlalchemy_async.py", (SQLALCHEMY, ASYNCPG)),
    Client("Django", "python", "with_django.py", ("django>=5", PSYCOPG)),
    Client("node-postgres", "javascript", "with_node_postgres.js", ("pg@8", "pg-cursor@2", "pg-copy-streams@7")),
    Client("postgres.js", "javascript", "with_postgres_js.js", ("postgres@3",)),
    Client("pgjdbc", "java", "WithPgjdbc.java", ("org.postgresql:postgresql:LATEST", "libpostgresql-jdbc-java")),
)
