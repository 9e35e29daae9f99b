"""Makes a shop with many orders: the demo's orders of all kinds, copied in the log, and rebuilt."""

from itertools import cycle, islice
from typing import Any
from uuid import UUID

from django.core.management import call_command
from django.db import connections

from config.accounts.models import User
from ordering_read.models import OrderSummary
from ordering_write import client
from ordering_write.client import commands as c
from ordering_write.log.sequencer import sequence
from ordering_write.management.demo import ADMIN, CUSTOMERS, PRODUCTS, demo_id

# Each kind of demo order is among so many.
_KINDS = 50
# Three hexadecimal digits of an id tell the copies apart.
_MOST_COPIES = 0xFFF
# References of orders: one of three lines, one of 200, and one with about 1,900 events.
THREE_LINES, LONG, OLD = "THREE-LINES", "LONG", "OLD"
_CHANGES = 1_890

# Every id, number, SKU, name and e-mail address becomes another one in each copy; ids of services
# stay. Ids of copies have version 6, which no original has. Hashes and digests are left empty:
# readers don't check them.
_PREPARE = r"""
SET session_replication_role = replica;
SET statement_timeout = 0;
CREATE FUNCTION copied_id(content text, copy int) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT regexp_replace(content, '-[578][0-9a-f]{3}(-[89ab][0-9a-f]{3}-)',
        '-6' || lpad(to_hex(copy), 3, '0') || '\1', 'g')
$$;
CREATE FUNCTION copied_number(content text, copy int) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN content LIKE '%order_number%' THEN regexp_replace(content,
        '"(20[0-9]{2}-|A-)(?:000)?([0-9]{3,4})"', '"\1' || 1000 + copy || '\2"', 'g')
    ELSE content END
$$;
CREATE TABLE model_event AS SELECT * FROM event
WHERE stream NOT LIKE 'stock-%' OR type = 'StockItemRegistered';
CREATE TABLE model_personal AS SELECT * FROM personal_data;
"""
_COPY_PERSONAL_DATA = r"""
INSERT INTO personal_data (id, customer_id, fields, salt)
SELECT copied_id(id::text, copy)::uuid, copied_id(customer_id::text, copy)::uuid,
    regexp_replace(regexp_replace(fields::text,
        '"name": "([^"]+)"', '"name": "\1 ' || copy || '"', 'g'),
        '"email": "([^"@]+)@', '"email": "\1.' || copy || '@', 'g')::jsonb, salt
FROM generate_series(%s::int, %s::int) AS copy CROSS JOIN model_personal
"""
_COPY_EVENTS = r"""
INSERT INTO event (event_id, stream, version, type, schema_version, timestamp, recorded_at, actor,
    channel, command_id, correlation_id, causation_id, commit_id, data, personal_id,
    personal_digest, hash)
SELECT copied_id(event_id::text, copy)::uuid, copied_id(stream, copy), version, type,
    schema_version, timestamp, recorded_at, actor, channel,
    copied_id(command_id::text, copy)::uuid, copied_id(correlation_id::text, copy)::uuid,
    copied_id(causation_id::text, copy)::uuid, copied_id(commit_id::text, copy)::uuid,
    regexp_replace(copied_number(copied_id(data::text, copy), copy),
        '"sku": "([^"]+)"', '"sku": "\1-' || copy || '"', 'g')::jsonb,
    copied_id(personal_id::text, copy)::uuid, '', ''
FROM generate_series(%s::int, %s::int) AS copy
CROSS JOIN LATERAL (SELECT * FROM model_event ORDER BY id) AS model
"""
_FINISH = """
INSERT INTO event_position (position, event_id)
SELECT (SELECT coalesce(max(position), 0) FROM event_position) + row_number() OVER (ORDER BY id), id
FROM event WHERE NOT EXISTS (SELECT FROM event_position WHERE event_id = event.id);
DROP TABLE model_event, model_personal;
DROP FUNCTION copied_id, copied_number;
RESET session_replication_role;
"""


def make(orders: int) -> None:
    """Make a shop with about ``orders`` orders in Django's databases, which are empty."""
    copies = max(1, min(_MOST_COPIES, orders // _KINDS - 1))
    call_command("migrate", verbosity=0)
    call_command("seed_demo", orders=_KINDS)
    sequence()
    _copy_log(copies)
    _give_long_orders(User.objects.get(username=ADMIN.username))
    sequence()
    _analyze()
    call_command("rebuild_projections", all=True)
    _analyze()


def long_order(reference: str) -> UUID:
    """Return the id of the order with this reference."""
    order_id: UUID = OrderSummary.live.get(external_reference=reference).order_id
    return order_id


def count() -> int:
    """Return the number of orders."""
    return OrderSummary.live.count()


def _copy_log(copies: int) -> None:
    with connections["default"].cursor() as cursor:
        cursor.execute(_PREPARE)
        for statement in (_COPY_PERSONAL_DATA, _COPY_EVENTS):
            cursor.execute(statement, [1, copies])
        cursor.execute(_FINISH)


def _analyze() -> None:
    for alias in ("default", "read"):
        with connections[alias].cursor() as cursor:
            cursor.execute("SET statement_timeout = 0")
            cursor.execute("VACUUM ANALYZE")


def _give_long_orders(user: User) -> None:
    _place(user, THREE_LINES, 3)
    _place(user, LONG, 200)
    old = _place(user, OLD, 3)
    for number in range(_CHANGES // 2):
        _give(user, c.TagOrder, order_id=old, tag=f"visit-{number}")
        _give(user, c.UntagOrder, order_id=old, tag=f"visit-{number}")


def _place(user: User, reference: str, lines: int) -> UUID:
    in_euro = [product for product in PRODUCTS if product.currency == "EUR" and product.on_hand > 1]
    items = [
        {"product_id": demo_id(product.sku), "quantity": 2, "unit_price": product.list_price}
        for product in islice(cycle(in_euro), lines)
    ]
    fields = {"customer_id": demo_id(CUSTOMERS[1]), "items": items, "auto_confirm": True}
    address = {"line1": "1 Example Street", "city": "Sampleton", "postal_code": "1"}
    fields["shipping_address"] = {"name": CUSTOMERS[1], "country": "ES", **address}
    [placed, *_] = _give(user, c.CreateOrder, external_reference=reference, **fields)
    return placed.order_id


def _give(user: User, command_type: type[c.Command], **fields: Any) -> Any:
    command = command_type.model_validate({**client.envelope(user, channel="cli"), **fields})
    return client.dispatch(command, user=user)
