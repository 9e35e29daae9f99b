"""The columns that the service's own read models have, as Django's models."""

import uuid

from django.db import models

MONEY = {"max_digits": 19, "decimal_places": 4}


class Customer(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    name = models.CharField(max_length=200)
    email = models.CharField(max_length=254, unique=True)


class Product(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    sku = models.CharField(max_length=64, unique=True)
    name = models.CharField(max_length=200)
    stock = models.BigIntegerField(default=0)
    price = models.DecimalField(**MONEY)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(stock__gte=0), name="never_oversold")
        ]


class Order(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    order_number = models.CharField(max_length=40, unique=True)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT)
    customer_name = models.CharField(max_length=200)
    status = models.CharField(max_length=20, default="pending")
    payment_status = models.CharField(max_length=20, default="unpaid")
    fulfilment_status = models.CharField(max_length=20, default="unfulfilled")
    return_status = models.CharField(max_length=20, default="none")
    on_hold = models.BooleanField(default=False)
    total_amount = models.DecimalField(**MONEY)
    balance = models.DecimalField(**MONEY)
    currency = models.CharField(max_length=3)
    item_count = models.PositiveIntegerField(default=0)
    unit_count = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField()
    placed_on = models.DateField()
    updated_at = models.DateTimeField()
    version = models.PositiveIntegerField(default=1)
    position = models.BigIntegerField(default=0)
    authorized = models.DecimalField(default=0, **MONEY)
    captured = models.DecimalField(default=0, **MONEY)
    refunded = models.DecimalField(default=0, **MONEY)
    external_reference = models.CharField(max_length=100, blank=True)
    replaces_order_id = models.UUIDField(null=True)
    assigned_to = models.CharField(max_length=150, blank=True)
    tags = models.JSONField(default=list)
    hold = models.JSONField(null=True)
    shipping_address = models.JSONField()
    billing_address = models.JSONField(null=True)
    adjustments = models.JSONField(default=list)
    shipments = models.JSONField(default=list)
    payments = models.JSONField(default=list)
    refunds = models.JSONField(default=list)
    returns = models.JSONField(default=list)
    notes = models.JSONField(default=list)

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["-created_at", "-id"], name="newest"),
            models.Index(fields=["status", "-created_at", "-id"], name="by_status"),
        ]


class OrderLine(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="items")
    number = models.PositiveSmallIntegerField()
    product = models.ForeignKey(Product, on_delete=models.PROTECT)
    sku = models.CharField(max_length=64)
    name = models.CharField(max_length=200)
    quantity = models.PositiveIntegerField()
    cancelled = models.PositiveIntegerField(default=0)
    packed = models.PositiveIntegerField(default=0)
    shipped = models.PositiveIntegerField(default=0)
    delivered = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    return_requested = models.PositiveIntegerField(default=0)
    returned = models.PositiveIntegerField(default=0)
    unit_price = models.DecimalField(**MONEY)
    line_total = models.DecimalField(**MONEY)
    price_source = models.CharField(max_length=10, default="client")
    price_reason = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["number"]


class Projected(models.Model):
    """One row per event that a task has projected."""

    order_id = models.UUIDField()
    number = models.PositiveSmallIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint("order_id", "number", name="projected_once")]
