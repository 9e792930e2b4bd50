"""Customers and their orders; the primary key begins with the sharding key, so that each statement has it."""

from __future__ import annotations

import datetime
import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models

DAY = datetime.date(2026, 1, 1)


class Country(models.Model):
    code = models.TextField(primary_key=True)
    name = models.TextField()

    class Meta:
        db_table = "countries"


class Customer(models.Model):
    id = models.BigIntegerField(primary_key=True)
    name = models.TextField()
    country = models.ForeignKey(Country, models.PROTECT, db_column="country", null=True)

    class Meta:
        db_table = "customers"


class Order(models.Model):
    pk = models.CompositePrimaryKey("customer_id", "id")
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="orders")
    id = models.BigIntegerField()
    total = models.DecimalField(max_digits=9, decimal_places=2)
    placed = models.DateField(default=DAY)

    class Meta:
        db_table = "orders"


class NumberedOrder(models.Model):
    """The same rows as an application has them that was not made for shards: its key is not that of the table."""

    id = models.BigIntegerField(primary_key=True)
    customer_id = models.BigIntegerField()
    total = models.DecimalField(max_digits=9, decimal_places=2)
    placed = models.DateField(default=DAY)

    class Meta:
        db_table = "orders"
        managed = False


class Document(models.Model):
    pk = models.CompositePrimaryKey("tenant", "id")
    tenant = models.TextField()
    id = models.UUIDField(default=uuid.uuid4)
    body = models.JSONField()
    tags = ArrayField(models.TextField())

    class Meta:
        db_table = "documents"


class Note(models.Model):
    id = models.AutoField(primary_key=True)
    body = models.TextField()

    class Meta:
        db_table = "notes"
