"""SQLAlchemy over a synchronous driver (the argument): its first-connect questions, models, sessions, a queue pool."""

from __future__ import annotations

import sys

import sqlalchemy
from library import Author, Base, Binding, Book, first_authors, shown
from sqlalchemy import create_engine, func, inspect, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError, InvalidRequestError
from sqlalchemy.orm import Session, selectinload
from steps import DATABASE, HOST, PASSWORD, PORT, USER, at_once, expecting, run, step

DRIVER = sys.argv[1]
URL = sqlalchemy.URL.create(f"postgresql+{DRIVER}", USER, PASSWORD, HOST, PORT, DATABASE)
engine = create_engine(URL, pool_pre_ping=True)


def code(error):
    """The SQLSTATE, where each driver keeps it."""
    origin = error.orig
    return getattr(origin, "sqlstate", None) or getattr(origin, "pgcode", None) or origin.args[0].get("C")


@step
def connects():
    with engine.connect() as connection:
        print(engine.dialect.server_version_info, engine.dialect.default_schema_name)
        print(connection.scalar(text("SELECT 1")), connection.get_isolation_level(), connection.default_isolation_level)
    print(engine.pool.checkedin())


@step
def creates_tables():
    Base.metadata.create_all(engine)
    Base.metadata.create_all(engine)
    seen = inspect(engine)
    print(sorted(seen.get_table_names()), [column["name"] for column in seen.get_columns("book")])
    print(seen.get_foreign_keys("book")[0]["referred_table"], [e["labels"] for e in seen.get_enums()])
    print(
        seen.get_unique_constraints("book")[0]["column_names"], seen.get_pk_constraint("author")["constrained_columns"]
    )


@step
def sessions():
    with Session(engine) as session:
        session.add_all(first_authors())
        session.commit()
        author = session.scalars(select(Author).where(Author.name.like("Astrid%"))).one()
        print(author.name, author.born, [shown(book) for book in author.books])
        author.books.append(Book(title="Emil"))
        session.flush()
        session.rollback()
        print([book.title for book in author.books])
        session.execute(update(Book).where(Book.author == author).values(price=Book.price * 2))
        session.commit()
        print(
            session.execute(
                select(Book.binding, func.count(), func.sum(Book.price)).group_by(Book.binding).order_by(Book.binding)
            ).all()
        )
    with Session(engine) as session:
        for author in session.scalars(select(Author).options(selectinload(Author.books)).order_by(Author.id)):
            print(author.name, len(author.books))


@step
def the_same_statement_again_and_again():
    with engine.connect() as connection:
        statement = select(Book.title, Book.price).where(Book.id == sqlalchemy.bindparam("id"))
        for number in range(1, 11):
            print(connection.execute(statement, {"id": number}).all(), end=" ")
            connection.commit()
        print(connection.execute(text("SELECT :a || :b"), {"a": "é", "b": "🐘"}).scalar())


@step
def errors_and_recovery():
    with Session(engine) as session:
        session.add(Author(name="Nobody"))
        with expecting(IntegrityError, show=code):
            session.commit()
        session.rollback()
        with expecting(IntegrityError, show=code), session.begin_nested():
            session.add(Author(name="Nobody"))
            session.flush()
        print(session.scalar(select(func.count()).select_from(Author)))
        with expecting(DBAPIError, show=code):
            session.execute(text("SELECT 1/0"))
        with expecting(DBAPIError, InvalidRequestError, show=code):
            session.execute(text("SELECT 1"))
        session.rollback()
        print(session.scalar(text("SELECT 'well again'")))


@step
def savepoints_and_isolation():
    with engine.connect().execution_options(isolation_level="SERIALIZABLE") as connection:
        print(connection.scalar(text("SHOW transaction_isolation")))
        with connection.begin_nested() as savepoint:
            connection.execute(text("INSERT INTO author (name) VALUES ('Gone')"))
            savepoint.rollback()
        print(connection.scalar(text("SELECT count(*) FROM author WHERE name = 'Gone'")))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        print(connection.scalar(text("SHOW transaction_isolation")), connection.scalar(text("SELECT 2")))
    read_only = {"postgresql_readonly": True, "postgresql_deferrable": True, "isolation_level": "SERIALIZABLE"}
    with engine.connect().execution_options(**read_only) as connection:
        print(
            connection.scalar(text("SHOW transaction_read_only")),
            connection.scalar(text("SHOW transaction_deferrable")),
        )
    with engine.connect() as connection:
        print(
            connection.scalar(text("SHOW transaction_read_only")), connection.scalar(text("SHOW transaction_isolation"))
        )


@step
def streams():
    with engine.connect() as connection:
        result = connection.execution_options(yield_per=100).execute(text("SELECT generate_series(1, 1000)"))
        print(sum(row[0] for row in result))


@step
def many_rows_at_once():
    with Session(engine) as session:
        author = Author(name="Prolific")
        session.add(author)
        session.flush()
        rows = [{"title": f"number {number}", "author_id": author.id, "tags": ["x"]} for number in range(2500)]
        ids = session.scalars(sqlalchemy.insert(Book).returning(Book.title, sort_by_parameter_order=True), rows).all()
        print(len(ids), ids[0], ids[-1])
        session.commit()
        print(session.scalar(select(func.count()).where(Book.author_id == author.id, Book.binding == Binding.SOFT)))


@step
def two_phase_commit():
    with engine.connect() as connection:
        with connection.begin_twophase(xid=f"{DATABASE} phase") as transaction:
            connection.execute(text("INSERT INTO author (name) VALUES ('Twice')"))
            transaction.prepare()
            transaction.commit()
        print(connection.scalar(text("SELECT count(*) FROM author WHERE name = 'Twice'")))


@step
def many_connections():
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE counted (who int PRIMARY KEY, times int NOT NULL)"))
    crowded = create_engine(URL, pool_size=6, max_overflow=4)

    def work(who):
        with crowded.begin() as connection:
            connection.execute(text("INSERT INTO counted VALUES (:who, 0)"), {"who": who})
        for number in range(10):
            with crowded.begin() as connection:
                connection.execute(text("UPDATE counted SET times = times + 1 WHERE who = :who"), {"who": who})
            with crowded.connect() as connection:
                rows = connection.execute(
                    text(f"SELECT {who}, times FROM counted WHERE who = :who"), {"who": who}
                ).all()
            assert rows == [(who, number + 1)], rows
        return who

    print(at_once(20, work))
    with engine.connect() as connection:
        print(connection.execute(text("SELECT count(*), sum(times) FROM counted")).all())
    crowded.dispose()


@step
def drops_tables():
    Base.metadata.drop_all(engine)
    engine.dispose()
    print(sorted(inspect(engine).get_table_names()))
    engine.dispose()


if __name__ == "__main__":
    run(f"{sqlalchemy.__version__} ({DRIVER} {engine.dialect.dbapi.__version__.split()[0]})")
