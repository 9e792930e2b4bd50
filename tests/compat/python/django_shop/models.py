"""The models: a unique name, a foreign key, JSON, an array, a decimal, a uuid, a constraint and two indexes."""

import uuid

from django.contrib.postgres.fields import ArrayField
from django.db import models


class Customer(models.Model):
    """Someone who orders."""

    name = models.CharField(max_length=80, unique=True)
    since = models.DateTimeField()
    tags = ArrayField(models.CharField(max_length=20), default=list)

    class Meta:
        """Ordered by name."""

        ordering = ("name",)


class Order(models.Model):
    """What a customer wants."""

    reference = models.UUIDField(default=uuid.uuid4, unique=True)
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="orders")
    total = models.DecimalField(max_digits=10, decimal_places=2)
    details = models.JSONField(default=dict)

    class Meta:
        """No order is for less than nothing."""

        constraints = (models.CheckConstraint(condition=models.Q(total__gte=0), name="total_not_negative"),)
        indexes = (models.Index(fields=["total"], name="order_total"),)
