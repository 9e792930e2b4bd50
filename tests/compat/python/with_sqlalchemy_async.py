"""SQLAlchemy's asyncio sessions over asyncpg: its prepared statements and names, its codecs, cursors and its pool."""

from __future__ import annotations

import asyncio

import asyncpg
import sqlalchemy
from library import Author, Base, Book, first_authors, shown
from sqlalchemy import func, inspect, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import selectinload
from steps import DATABASE, HOST, PASSWORD, PORT, USER, expecting, run, step

URL = sqlalchemy.URL.create("postgresql+asyncpg", USER, PASSWORD, HOST, PORT, DATABASE)
OWN_LOOP = {"poolclass": sqlalchemy.pool.AsyncAdaptedQueuePool, "pool_pre_ping": True}
engine = create_async_engine(URL, **OWN_LOOP)
new_session = async_sessionmaker(engine, expire_on_commit=False)


def code(error):
    return error.orig.sqlstate


@step
async def connects():
    async with engine.connect() as connection:
        print(engine.dialect.server_version_info, await connection.get_isolation_level())
        print(await connection.scalar(text("SELECT 1")))


@step
async def creates_tables():
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with engine.connect() as connection:
        print(await connection.run_sync(lambda sync: sorted(inspect(sync).get_table_names())))
        print(await connection.run_sync(lambda sync: [column["name"] for column in inspect(sync).get_columns("book")]))


@step
async def sessions():
    async with new_session() as session:
        session.add_all(first_authors())
        await session.commit()
        statement = select(Author).options(selectinload(Author.books)).order_by(Author.id)
        for author in await session.scalars(statement):
            print(author.name, author.born, len(author.books), shown(author.books[0]))
        session.add(Author(name="Gone"))
        await session.flush()
        await session.rollback()
        print(await session.scalar(select(func.count()).select_from(Author)))


@step
async def the_same_statement_again_and_again():
    async with engine.connect() as connection:
        statement = select(Book.title, Book.price, Book.binding).where(Book.id == sqlalchemy.bindparam("id"))
        for number in range(1, 11):
            print((await connection.execute(statement, {"id": number})).all(), end=" ")
            await connection.commit()
        print(await connection.scalar(text("SELECT CAST(:a AS text) || :b"), {"a": "é", "b": "🐘"}))


@step
async def errors_and_recovery():
    async with new_session() as session:
        session.add(Author(name="Nobody"))
        with expecting(IntegrityError, show=code):
            await session.commit()
        await session.rollback()
        for sql in ("SELECT 1/0", "SELEC 1", "SELECT * FROM nowhere"):
            with expecting(DBAPIError, show=code):
                await session.execute(text(sql))
            await session.rollback()
            print(await session.scalar(text("SELECT 'well again'")))


@step
async def plans_that_ddl_changes():
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE changing (n int)"))
    async with engine.connect() as connection:
        for _ in range(3):
            print((await connection.execute(text("SELECT * FROM changing"))).keys())
            await connection.commit()
        await connection.execute(text("ALTER TABLE changing ADD m text"))
        await connection.commit()
        with expecting(DBAPIError, show=code):  # it says so once, and forgets what it has prepared
            await connection.execute(text("SELECT * FROM changing"))
        await connection.rollback()
        print((await connection.execute(text("SELECT * FROM changing"))).keys())


@step
async def streams():
    async with engine.connect() as connection:
        result = await connection.stream(text("SELECT generate_series(1, 1000)"))
        print(sum([row[0] async for row in result]))


@step
async def isolation():
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="SERIALIZABLE", postgresql_readonly=True)
        print(await connection.scalar(text("SHOW transaction_isolation")))
        print(await connection.scalar(text("SHOW transaction_read_only")))
    async with engine.connect() as connection:
        print(await connection.scalar(text("SHOW transaction_isolation")))


@step
async def many_connections():
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE counted (who int PRIMARY KEY, times int NOT NULL)"))
    crowded = create_async_engine(URL, pool_size=6, max_overflow=4)

    async def work(who):
        async with crowded.begin() as connection:
            await connection.execute(text("INSERT INTO counted VALUES (:who, 0)"), {"who": who})
        for number in range(10):
            async with crowded.begin() as connection:
                await connection.execute(text("UPDATE counted SET times = times + 1 WHERE who = :who"), {"who": who})
            async with crowded.connect() as connection:
                sql = text(f"SELECT {who}, times FROM counted WHERE who = :who")
                rows = (await connection.execute(sql, {"who": who})).all()
            assert rows == [(who, number + 1)], rows
        return who

    print(await asyncio.gather(*(work(who) for who in range(20))))
    async with engine.connect() as connection:
        print((await connection.execute(text("SELECT count(*), sum(times) FROM counted"))).all())
    await crowded.dispose()
    await engine.dispose()


if __name__ == "__main__":
    run(f"{sqlalchemy.__version__} (asyncpg {asyncpg.__version__})")
