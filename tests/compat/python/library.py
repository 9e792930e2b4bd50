"""The models of the SQLAlchemy scripts: authors and their books, with the types that need a look at the catalog."""

from __future__ import annotations

import datetime
import decimal
import enum

from sqlalchemy import ARRAY, JSON, Enum, ForeignKey, Numeric, String, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """What all models here have in common."""


class Binding(enum.Enum):
    """How a book is bound; an enumerated type of the server."""

    HARD = "hard"
    SOFT = "soft"


class Author(Base):
    """An author, who has books."""

    __tablename__ = "author"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(60), unique=True)
    born: Mapped[datetime.date | None]
    books: Mapped[list[Book]] = relationship(back_populates="author", cascade="all, delete-orphan", order_by="Book.id")


class Book(Base):
    """A book, with a column of every type that drivers treat each in their own way."""

    __tablename__ = "book"
    __table_args__ = (UniqueConstraint("author_id", "title"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    price: Mapped[decimal.Decimal] = mapped_column(Numeric(8, 2), default=decimal.Decimal("9.90"))
    binding: Mapped[Binding] = mapped_column(Enum(Binding, name="binding"), default=Binding.SOFT)
    tags: Mapped[list[str]] = mapped_column(ARRAY(String), default=list)
    extra: Mapped[dict[str, object] | None] = mapped_column(JSON)
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id"))
    author: Mapped[Author] = relationship(back_populates="books")


def first_authors() -> list[Author]:
    """The rows that the scripts begin with."""
    return [
        Author(
            name="Astrid Lindgren 🐘",
            born=datetime.date(1907, 11, 14),
            books=[Book(title="Ronja", tags=["a", "b"], extra={"pages": [1, None, "é"]}), Book(title="Mio")],
        ),
        Author(name="Nobody", books=[Book(title=f"Volume {number}", binding=Binding.HARD) for number in range(30)]),
    ]


def shown(book: Book) -> tuple[object, ...]:
    """A book as a script prints it."""
    return book.title, str(book.price), book.binding.name, book.tags, book.extra
