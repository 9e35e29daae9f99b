"""The API of the peer: ModelViewSets with a nested and with a flat serializer."""

from typing import Any

from django.db import transaction
from django_q.tasks import async_task
from rest_framework import serializers, viewsets

from tests.benchmarks.peers.shop.models import Customer, Order, OrderLine, Product
from tests.benchmarks.peers.shop.placing import place

HEADER = [
    "id",
    "order_number",
    "customer_id",
    "customer_name",
    "status",
    "payment_status",
    "fulfilment_status",
    "return_status",
    "on_hold",
    "total_amount",
    "balance",
    "currency",
    "item_count",
    "unit_count",
    "created_at",
    "placed_on",
    "updated_at",
    "version",
    "position",
]
DETAILS = [
    "authorized",
    "captured",
    "refunded",
    "external_reference",
    "replaces_order_id",
    "assigned_to",
    "tags",
    "hold",
    "items",
    "adjustments",
    "shipping_address",
    "billing_address",
    "shipments",
    "payments",
    "refunds",
    "returns",
    "notes",
]
LINE = [
    "id",
    "product_id",
    "sku",
    "name",
    "quantity",
    "cancelled",
    "packed",
    "shipped",
    "delivered",
    "failed",
    "return_requested",
    "returned",
    "unit_price",
    "line_total",
    "price_source",
    "price_reason",
]
WRITTEN = {"customer_id", "currency", "items", "shipping_address"}
WRITTEN_OF_LINE = {"product_id", "quantity", "unit_price"}


class LineSerializer(serializers.ModelSerializer):
    product_id = serializers.PrimaryKeyRelatedField(
        source="product", queryset=Product.objects.all()
    )

    class Meta:
        model = OrderLine
        fields = LINE
        read_only_fields = [name for name in LINE if name not in WRITTEN_OF_LINE]


class AddressSerializer(serializers.Serializer):
    name = serializers.CharField(max_length=200)
    line1 = serializers.CharField(max_length=200)
    line2 = serializers.CharField(max_length=200, required=False, allow_blank=True)
    city = serializers.CharField(max_length=100)
    region = serializers.CharField(max_length=100, required=False, allow_blank=True)
    postal_code = serializers.CharField(max_length=20, required=False, allow_blank=True)
    country = serializers.CharField(max_length=2)


class OrderSerializer(serializers.ModelSerializer):
    customer_id = serializers.PrimaryKeyRelatedField(
        source="customer", queryset=Customer.objects.all()
    )
    items = LineSerializer(many=True)
    shipping_address = AddressSerializer()

    class Meta:
        model = Order
        fields = HEADER + DETAILS
        read_only_fields = [name for name in HEADER + DETAILS if name not in WRITTEN]

    def create(self, data: dict[str, Any]) -> Order:
        items = [
            {
                "product_id": item["product"].pk,
                "quantity": item["quantity"],
                "unit_price": item["unit_price"],
            }
            for item in data["items"]
        ]
        customer = data["customer"]
        address = data["shipping_address"]
        return place(customer.pk, customer.name, items, address, data["currency"])


class FlatOrderSerializer(serializers.ModelSerializer):
    class Meta:
        model = Order
        fields = HEADER


class OrderViewSet(viewsets.ModelViewSet):
    queryset = Order.objects.prefetch_related("items")
    serializer_class = OrderSerializer
    filterset_fields = ["status"]


class FlatOrderViewSet(viewsets.ReadOnlyModelViewSet):
    """Lists orders without their lines, as somebody careful would write it."""

    queryset = Order.objects.all()
    serializer_class = FlatOrderSerializer
    filterset_fields = ["status"]


class QueuedOrderViewSet(OrderViewSet):
    """Queues one task for each event of a new order, in the order's transaction."""

    @transaction.atomic
    def perform_create(self, serializer: OrderSerializer) -> None:
        order = serializer.save()
        # One event for the order, and one for each of its lines.
        for number in range(1 + order.item_count):
            async_task("tests.benchmarks.peers.shop.tasks.project", order.pk, number)
