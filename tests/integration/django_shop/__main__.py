"""``python -m tests.integration.django_shop URL shards|whole client|server``: what Django does, and what it gives.

Each step says what it gives, on a database with shards and on a whole one, with parameters that the client or the
server puts into the statement. What differs is printed, a line for each step; nothing is printed if all is well.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import unquote, urlsplit

import django
from asgiref.sync import sync_to_async
from django.conf import settings

from tests.integration.sharded import keys_of

URL, PLACE, BINDING = sys.argv[1:]
ADDRESS = urlsplit(URL)
settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": ADDRESS.hostname,
            "PORT": ADDRESS.port,
            "USER": ADDRESS.username,
            "PASSWORD": unquote(ADDRESS.password or ""),
            "NAME": ADDRESS.path[1:],
            "CONN_HEALTH_CHECKS": True,
            "OPTIONS": {"server_side_binding": BINDING == "server"},
        }
    },
    INSTALLED_APPS=["django.contrib.postgres", "tests.integration.django_shop"],
    USE_TZ=True,
)
django.setup()

from django.db import DatabaseError, IntegrityError, connection, connections, transaction  # noqa: E402 - once there are settings
from django.db.models import Count, Exists, F, OuterRef, Prefetch, Q, Subquery, Sum, Value, Window  # noqa: E402
from django.db.models.functions import RowNumber, Upper  # noqa: E402

from tests.integration.django_shop.models import (  # noqa: E402
    Country,
    Customer,
    Document,
    Note,
    NumberedOrder,
    Order,
)

FIRST, SECOND, THIRD = keys_of(0, 3)  # on one shard
OTHER = keys_of(1, 1)[0]
STEPS: list[tuple[Callable[[], Any], Any]] = []


class Undone(Exception):
    """Ends a transaction whose step is not to leave anything."""


def gives(expected: Any, *, undone: bool = False, **elsewhere: Any) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """The next step, and what comes of it; `whole` is what does where there are no shards."""

    def add(work: Callable[[], Any]) -> Callable[[], Any]:
        STEPS.append((and_undo(work) if undone else work, elsewhere.get(PLACE, expected)))
        return work

    return add


def and_undo(work: Callable[[], Any]) -> Callable[[], Any]:
    def run() -> Any:
        try:
            with transaction.atomic():
                result = work()
                raise Undone
        except Undone:
            return result

    run.__name__ = work.__name__
    return run


def code_of(work: Callable[[], Any]) -> str:
    """The SQLSTATE of what is raised, or that it was done, which then is undone."""
    try:
        with transaction.atomic():
            work()
            transaction.set_rollback(True)
    except DatabaseError as error:
        return str(getattr(error.__cause__, "sqlstate", error))
    return "done"


def values(*names: str, **filters: Any) -> list[Any]:
    found = Order.objects.filter(**filters).order_by("id")
    return list(found.values_list(*names, flat=len(names) == 1))


# --- one and many -----------------------------------------------------------------------------------------------------


@gives(["Ada", "Grace!", "Joan"])
def creates_and_saves() -> list[str]:
    Customer.objects.create(id=FIRST, name="Ada", country_id="de")
    Customer.objects.create(id=OTHER, name="Joan", country_id="fr")
    grace = Customer(id=SECOND, name="Grace")
    grace.save()
    grace.name = "Grace!"
    grace.save()
    return [Customer.objects.get(pk=key).name for key in (FIRST, SECOND, OTHER)]


@gives([5, 5, 1])
def creates_many_at_once_and_in_batches() -> list[int]:
    for key in (FIRST, OTHER):
        Order.objects.bulk_create([Order(customer_id=key, id=n, total=n) for n in range(1, 6)], batch_size=2)
    Order.objects.bulk_create([Order(customer_id=SECOND, id=1, total=7)])
    return [Customer.objects.get(pk=key).orders.count() for key in (FIRST, OTHER, SECOND)]


@gives([True, False, "again", 2], undone=True)
def creates_or_updates_what_is_there() -> list[Any]:
    made = [Customer.objects.get_or_create(id=THIRD, defaults={"name": "new"})[1] for _ in range(2)]
    Customer.objects.update_or_create(id=THIRD, defaults={"name": "again"})
    rows = [Customer(id=FIRST, name="x"), Customer(id=SECOND, name="x")]
    Customer.objects.bulk_create(rows, ignore_conflicts=True)
    Customer.objects.bulk_create(rows, update_conflicts=True, update_fields=["name"], unique_fields=["id"])
    changed = Customer.objects.filter(id__in=[FIRST, SECOND], name="x").count()
    return [*made, Customer.objects.get(pk=THIRD).name, changed]


@gives([5, "11.00", "8.00", "6.00"], undone=True)
def updates_many_rows_and_one() -> list[Any]:
    orders = list(Order.objects.filter(customer_id=OTHER))
    for order in orders:
        order.total += 10
    changed = Order.objects.bulk_update(orders, ["total"])
    Order.objects.filter(customer_id=OTHER, id=2).update(total=F("total") - 4)
    one = Order.objects.get(pk=(OTHER, 3))
    one.total = F("total") - 7
    one.save()
    return [changed, *map(str, values("total", customer_id=OTHER)[:3])]


@gives(["ADA", "Germany"], undone=True)
def updates_by_functions_and_subqueries() -> list[str]:
    Customer.objects.filter(pk=FIRST).update(name=Upper("name"))
    name = Customer.objects.get(pk=FIRST).name
    country = Country.objects.filter(code=OuterRef("country_id")).values("name")
    Customer.objects.filter(pk=FIRST).update(name=Subquery(country))
    return [name, Customer.objects.get(pk=FIRST).name]


@gives([2, 3, 4, 2], undone=True)
def deletes_what_refers_to_it_too() -> list[int]:
    large = Order.objects.filter(customer_id=FIRST, total__gt=3)
    deleted = large.delete()[0], Order.objects.filter(customer_id=FIRST).count()
    return [*deleted, Customer.objects.get(pk=FIRST).delete()[0], Customer.objects.filter(id__in=[SECOND]).delete()[0]]


@gives(["changed", {"n": 2}, [0, 2], 3], undone=True)
def keeps_documents_under_a_text_and_a_uuid() -> list[Any]:
    one, *_ = Document.objects.bulk_create(
        [Document(tenant="acme", body={"n": n}, tags=["red", str(n)]) for n in range(3)]
    )
    one.tags = ["changed"]
    one.save()
    one.refresh_from_db()
    tagged = Document.objects.filter(tenant="acme", tags__contains=["red"])
    last = tagged.get(body__n=2)
    found = Document.objects.filter(tenant="acme").exclude(body__n=1).values_list("body__n", flat=True)
    return [one.tags[0], last.body, sorted(found), Document.objects.filter(tenant="acme").delete()[0]]


@gives([5, 0])
def has_tables_without_shards() -> list[int]:
    Note.objects.create(body="one").delete()
    Note.objects.bulk_create([Note(body="many") for _ in range(5)])
    return [Note.objects.filter(body="many").delete()[0], Note.objects.filter(body="many").count()]


# --- reading ----------------------------------------------------------------------------------------------------------


@gives(["Ada", "Ada", True, ["Ada", "Grace!"], 0, 0])
def reads_by_key() -> list[Any]:
    names = Customer.objects.filter(id__in=[FIRST, SECOND]).order_by("name").values_list("name", flat=True)
    by_text = Customer.objects.get(pk=str(FIRST)).name
    there = Customer.objects.filter(Q(pk=FIRST) | Q(pk=SECOND)).exists()
    nothing = Customer.objects.filter(pk=None).count(), Customer.objects.filter(id__in=[]).count()
    return [Customer.objects.get(pk=FIRST).name, by_text, there, list(names), *nothing]


@gives(["Ada", "Germany", [5, 1], [3], "Ada"])
def loads_relations_by_the_key() -> list[Any]:
    joined = Order.objects.select_related("customer__country").filter(customer_id=FIRST).first()
    several = Customer.objects.filter(id__in=[FIRST, SECOND]).order_by("name").prefetch_related("orders")
    large = Prefetch("orders", Order.objects.filter(total__gt=2), to_attr="large")
    some = Customer.objects.filter(pk=OTHER).prefetch_related(large)
    counts, few = [len(one.orders.all()) for one in several], [len(one.large) for one in some]
    lazily = Order.objects.get(pk=(FIRST, 1)).customer.name
    return [joined.customer.name, joined.customer.country.name, counts, few, lazily]


@gives([5, "15.00", [["Ada", 5]], ["5.00"], 1, 1])
def aggregates_within_a_key() -> list[Any]:
    total = Order.objects.filter(customer_id=FIRST).aggregate(Sum("total"))["total__sum"]
    ada = Customer.objects.filter(pk=FIRST)
    counted = ada.annotate(n=Count("orders")).values_list("name", "n")
    dearest = Order.objects.filter(customer=OuterRef("pk")).order_by("-total").values("total")[:1]
    having = ada.filter(Exists(Order.objects.filter(customer=OuterRef("pk"), total=3)))
    without = ada.exclude(orders__total=100)
    top = [str(one) for one in ada.annotate(top=Subquery(dearest)).values_list("top", flat=True)]
    return [ada.get().orders.count(), str(total), [list(one) for one in counted], top, having.count(), without.count()]


@gives([[5, 4], [1, 2], [1, 2, 3], ["Ada", "Grace!"], 3])
def asks_with_windows_pairs_and_unions() -> list[Any]:
    ranked = Order.objects.filter(customer_id=FIRST).annotate(
        rank=Window(RowNumber(), partition_by=["customer_id"], order_by="-total")
    )
    pairs = Order.objects.filter(pk__in=[(FIRST, 1), (FIRST, 2)]).order_by("id").values_list("id", flat=True)
    sub = Order.objects.filter(
        customer_id=FIRST, id__in=Order.objects.filter(customer_id=FIRST, total__lt=4).values("id")
    )
    both = Customer.objects.filter(pk=FIRST).union(Customer.objects.filter(pk=SECOND)).order_by("name")
    top = ranked.filter(rank__lte=2).order_by("rank").values_list("id", flat=True)
    in_subquery = sub.order_by("id").values_list("id", flat=True)
    streamed = len(list(Order.objects.filter(customer_id=OTHER, total__lte=3).iterator(chunk_size=2)))
    return [list(top), list(pairs), list(in_subquery), [one.name for one in both], streamed]


@gives([["Ada"], True, ["Ada", "Joan"], ["France", "Germany"]])
def asks_in_its_own_words_and_asynchronously() -> list[Any]:
    raw = [one.name for one in Customer.objects.raw("SELECT * FROM customers WHERE id = %s", [FIRST])]
    plan = Customer.objects.filter(pk=FIRST).explain()

    async def names() -> list[str]:
        found = [(await Customer.objects.aget(pk=key)).name for key in (FIRST, OTHER)]
        await sync_to_async(connections.close_all)()  # the thread that the loop has for this has its own
        return found

    countries = list(Country.objects.order_by("name").values_list("name", flat=True))
    return [raw, "Scan" in plan, asyncio.run(names()), countries]


@gives([True, ["customer_id", "id"]])
def looks_at_the_schema() -> list[Any]:
    with connection.cursor() as cursor:
        keys = connection.introspection.get_primary_key_columns(cursor, "orders")
    return ["orders" in connection.introspection.table_names(), sorted(keys)]


# --- transactions -----------------------------------------------------------------------------------------------------


@gives(["Joan", []])
def rolls_back_what_stays_on_a_shard() -> list[Any]:
    done: list[str] = []
    try:
        with transaction.atomic(durable=True):
            transaction.on_commit(lambda: done.append("committed"))
            Customer.objects.select_for_update().get(pk=OTHER)
            Customer.objects.filter(pk=OTHER).update(name="lost")
            raise Undone
    except Undone:
        return [Customer.objects.get(pk=OTHER).name, done]


@gives(["kept", ["committed"], "Joan"])
def keeps_what_is_around_a_savepoint() -> list[Any]:
    done: list[str] = []
    with transaction.atomic():
        Customer.objects.filter(pk=OTHER).update(name="kept")
        try:
            with transaction.atomic():
                Customer.objects.create(id=OTHER, name="there is one")
        except IntegrityError:
            transaction.on_commit(lambda: done.append("committed"))
    kept = Customer.objects.get(pk=OTHER).name
    Customer.objects.filter(pk=OTHER).update(name=Value("Joan"))
    return [kept, done, Customer.objects.get(pk=OTHER).name]


@gives([*["done"] * 4, "Ada"])  # the rows to insert are arrays
def does_what_concerns_several_shards() -> list[str]:
    ways = (
        Order.objects.count,
        lambda: list(Customer.objects.filter(id__in=[FIRST, OTHER])),
        lambda: [Customer.objects.filter(pk=key).update(name="lost") for key in (FIRST, OTHER)],
        lambda: Customer.objects.bulk_create([Customer(id=key, name="x") for key in (THIRD, keys_of(1, 2)[1])]),
    )
    return [*map(code_of, ways), Customer.objects.get(pk=FIRST).name]


@gives(["done", "0A000"], whole=["done", "done"])  # save() sets the sharding key
def finds_a_row_without_the_key_of_its_table() -> list[str]:
    number = 1_000_000  # nobody else's, or it would be changed too
    order = NumberedOrder.objects.create(customer_id=SECOND, id=number, total=1)
    order.total = Decimal(8)
    by_key = NumberedOrder.objects.filter(customer_id=SECOND, id=number)
    return [code_of(lambda: by_key.update(total=8)), code_of(order.save)]


@gives([6, 3, 6])
def deletes_all() -> list[int]:
    return [Customer.objects.get(pk=key).delete()[0] for key in (FIRST, SECOND, OTHER)]


for run, expected in STEPS:
    result = run()
    if result != expected:
        print(f"{run.__name__}: {result!r} instead of {expected!r}")
connection.close()
