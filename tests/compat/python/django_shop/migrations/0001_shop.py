"""The first migration, as makemigrations wrote it."""

import uuid

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

KEY = {"auto_created": True, "primary_key": True, "serialize": False, "verbose_name": "ID"}
TAG = models.CharField(max_length=20)
NOT_NEGATIVE = models.CheckConstraint(condition=models.Q(("total__gte", 0)), name="total_not_negative")


class Migration(migrations.Migration):
    """Makes both tables."""

    initial = True
    dependencies = ()
    operations = (
        migrations.CreateModel(
            name="Customer",
            fields=[
                ("id", models.BigAutoField(**KEY)),
                ("name", models.CharField(max_length=80, unique=True)),
                ("since", models.DateTimeField()),
                ("tags", django.contrib.postgres.fields.ArrayField(base_field=TAG, default=list, size=None)),
            ],
            options={"ordering": ("name",)},
        ),
        migrations.CreateModel(
            name="Order",
            fields=[
                ("id", models.BigAutoField(**KEY)),
                ("reference", models.UUIDField(default=uuid.uuid4, unique=True)),
                ("total", models.DecimalField(decimal_places=2, max_digits=10)),
                ("details", models.JSONField(default=dict)),
                (
                    "customer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="orders", to="django_shop.customer"
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["total"], name="order_total")],
                "constraints": [NOT_NEGATIVE],
            },
        ),
    )
