"""Django with a small application: migrate, ORM, transactions, kept and pooled connections, server-side cursors."""

from __future__ import annotations

import datetime
import decimal
import uuid

import django
from django.conf import settings
from django.core.management import call_command
from django.db import DatabaseError, IntegrityError, close_old_connections, connection, connections, transaction
from django.db.models import Count, F, Sum
from steps import DATABASE, HOST, PASSWORD, PORT, USER, at_once, expecting, run, step

SERVER = {
    "ENGINE": "django.db.backends.postgresql", "HOST": HOST, "PORT": PORT, "USER": USER, "PASSWORD": PASSWORD,
    "NAME": DATABASE, "CONN_HEALTH_CHECKS": True,
}  # fmt: skip
settings.configure(
    DATABASES={
        "default": {**SERVER, "CONN_MAX_AGE": None},
        "serializable": {**SERVER, "OPTIONS": {"isolation_level": 4, "server_side_binding": True}},
        "pooled": {**SERVER, "CONN_HEALTH_CHECKS": False, "OPTIONS": {"pool": {"min_size": 2, "max_size": 6}}},
    },
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.postgres", "django_shop"],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    TIME_ZONE="Europe/Berlin",
    USE_TZ=True,
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402 - models can be imported only now
from django_shop.models import Customer, Order  # noqa: E402

DAY = datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.UTC)


def ask(sql, parameters=None, using="default"):
    with connections[using].cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall() if cursor.description else None


@step
def connects():
    print(connection.pg_version, connection.timezone_name, ask("SHOW timezone"), ask("SHOW client_encoding"))
    print(ask("SHOW transaction_isolation"), ask("SHOW transaction_isolation", using="serializable"))
    print(connection.is_usable(), connection.features.is_postgresql_16)


@step
def migrates():
    call_command("migrate", verbosity=1, no_color=True, interactive=False)
    call_command("migrate", "--check", verbosity=1)
    call_command("showmigrations", "django_shop", no_color=True)
    print(sorted(connection.introspection.table_names()))


@step
def objects():
    anna = Customer.objects.create(name="Anna 🐘", since=DAY, tags=["a", "é"])
    Customer.objects.bulk_create(Customer(name=f"customer {number:03}", since=DAY) for number in range(300))
    Order.objects.bulk_create(
        Order(
            customer=anna,
            total=decimal.Decimal(number) / 4,
            details={"n": number, "text": None},
            reference=uuid.UUID(int=number),
        )
        for number in range(1000)
    )
    print(anna.pk, Customer.objects.count(), Customer.objects.get(tags__contains=["é"]).name)
    print(anna.orders.aggregate(Sum("total"), Count("id")))
    print(list(Order.objects.filter(details__n__lt=3).order_by("total").values_list("total", "details")))
    print(
        Order.objects.filter(total__gt=200).update(total=F("total") + 1),
        Order.objects.filter(details__n=999).get().total,
    )
    print(Customer.objects.annotate(many=Count("orders")).filter(many__gt=0).values_list("name", "many").get())
    print(
        Customer.objects.get(name="Anna 🐘").since,
        Customer.objects.update_or_create(name="B", defaults={"since": DAY})[1],
    )
    print(Customer.objects.filter(name__startswith="customer 2").delete())
    print(Order.objects.select_related("customer").first().customer.name, Customer.objects.explain()[:8])
    print(User.objects.create_user("ops", password=None).username, User.objects.filter(is_staff=True).exists())


@step
def transactions():
    with transaction.atomic():
        with expecting(IntegrityError, show=lambda error: error.__cause__.sqlstate), transaction.atomic():
            Customer.objects.create(name="Anna 🐘", since=DAY)
        Customer.objects.create(name="kept", since=DAY)
    with expecting(ZeroDivisionError), transaction.atomic():
        Customer.objects.create(name="dropped", since=DAY)
        raise ZeroDivisionError("the application fails")
    done = []
    with transaction.atomic(durable=True):
        transaction.on_commit(lambda: done.append("committed"))
        print(Customer.objects.select_for_update().get(name="kept").name, done)
    print(done, list(Customer.objects.filter(name__in=["kept", "dropped"]).values_list("name", flat=True)))
    with transaction.atomic(using="serializable"):
        print(
            Customer.objects.using("serializable").filter(name="kept").count(),
            connections["serializable"].in_atomic_block,
        )
    connections["serializable"].close()


@step
def errors_and_recovery():
    for sql in ("SELECT 1/0", "SELEC 1", "SELECT * FROM nowhere"):
        with expecting(DatabaseError, show=lambda error: error.__cause__.sqlstate):
            ask(sql)
        print(ask("SELECT 'well again'"))
    with expecting(IntegrityError, show=lambda error: error.__cause__.diag.constraint_name):
        Order.objects.create(customer=Customer.objects.get(name="kept"), total=-1)
    with expecting(DatabaseError, show=lambda error: type(error).__name__), transaction.atomic():
        with expecting(DatabaseError, show=lambda error: error.__cause__.sqlstate):
            ask("SELECT 1/0")
        ask("SELECT 1")
    print(ask("SELECT 'well again'"))


@step
def server_side_cursors():
    """Outside a transaction Django declares them WITH HOLD."""
    print(sum(order.pk for order in Order.objects.iterator(chunk_size=100)))
    with transaction.atomic():
        print(sum(1 for _ in Order.objects.prefetch_related("customer").iterator(chunk_size=70)))
    rows = Order.objects.order_by("total").values_list("total", flat=True).iterator(chunk_size=10)
    print(next(rows), Customer.objects.count(), next(rows))
    del rows


@step
def persistent_connections():
    for _ in range(5):
        close_old_connections()
        print(Customer.objects.count(), end=" ")
    connection.close()
    print(Customer.objects.count())


@step
def copies():
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE lines (n int, word text)")
        with cursor.copy("COPY lines FROM STDIN") as copy:
            for number in range(3000):
                copy.write_row((number, f"word {number}"))
        with cursor.copy("COPY lines TO STDOUT") as copy:
            print(sum(1 for _ in copy.rows()))


@step
def schema_changes():
    """Statements as an added field, a renamed table and an index made concurrently lead to."""
    from django.db import models

    field = models.TextField(null=True)
    field.set_attributes_from_name("remark")
    with connection.schema_editor() as editor:
        editor.add_field(Order, field)
        editor.execute('ALTER TABLE "django_shop_order" ALTER COLUMN "remark" SET DEFAULT %s', ["it's"])
    ask('CREATE INDEX CONCURRENTLY "later" ON "django_shop_order" ("remark")')
    print(sorted(connection.introspection.get_constraints(connection.cursor(), "django_shop_order")))


@step
def many_connections():
    connection.close()  # the one of this thread

    def work(who):
        try:
            for _ in range(10):
                with transaction.atomic():
                    customer, _ = Customer.objects.select_for_update().get_or_create(
                        name=f"w{who}", defaults={"since": DAY}
                    )
                    customer.tags.append("x")
                    customer.save()
            return len(Customer.objects.get(name=f"w{who}").tags)
        finally:
            connection.close()

    print(at_once(20, work))


@step
def its_pool():
    def work(who):
        try:
            with transaction.atomic(using="pooled"):
                Customer.objects.using("pooled").filter(name=f"w{who}").update(tags=["pooled"])
            return Customer.objects.using("pooled").get(name=f"w{who}").tags
        finally:
            connections["pooled"].close()

    print(at_once(20, work))
    connections["pooled"].close_pool()


@step
def empties_the_tables():
    call_command("flush", verbosity=0, interactive=False)
    print(Customer.objects.count())
    connection.close()


if __name__ == "__main__":
    import psycopg

    run(f"{django.__version__} (psycopg {psycopg.__version__})")
