// The same program as with_fetch.ts, with the functions that @hey-api/openapi-ts generates.
import assert from "node:assert/strict";
import {
  cancelOrder,
  confirmOrder,
  createOrder,
  orderGet,
  previewCancelOrder,
} from "./generated/hey_api";
import { client } from "./generated/hey_api/client.gen";

const [address = "", token = "", customerId = "", productId = ""] = process.argv.slice(2);
client.setConfig({ baseUrl: address, headers: { Authorization: `Token ${token}` } });

async function run(): Promise<void> {
  const placed = await createOrder({
    headers: { "Idempotency-Key": crypto.randomUUID() },
    body: {
      customer_id: customerId,
      currency: "EUR",
      items: [{ product_id: productId, quantity: 2, unit_price: "19.90" }],
      shipping_address: {
        name: "Robin Sample",
        line1: "1 Example Street",
        city: "Sampleton",
        country: "ES",
      },
    },
    throwOnError: true,
  });
  const path = { order_id: placed.data.order_id };
  const seen = placed.response.headers.get("Consistency-Token") ?? "";

  const read = await orderGet({
    path,
    headers: { "Consistency-Token": seen, Prefer: "wait=10" },
    throwOnError: true,
  });
  assert.equal(read.data.order_number, placed.data.order_number);
  assert.equal(read.data.total_amount, "39.80");
  assert.deepEqual(read.data.items.map((line) => line.quantity), [2]);

  const headers = { "If-Match": read.response.headers.get("ETag") ?? "" };
  const body = { reason: "Ordered twice" };
  const preview = await previewCancelOrder({ path, headers, body, throwOnError: true });
  assert.equal(preview.data.status_after, "cancelled");
  assert.equal(preview.data.would_emit[0]?.type, "OrderCancelled");

  const invalid = await cancelOrder({ path, body: { reason: "" } });
  assert.equal(invalid.error?.status, 422);
  assert.equal(invalid.error.errors?.[0]?.pointer, "#/reason");

  const cancelled = await cancelOrder({ path, headers, body, throwOnError: true });
  assert.equal(cancelled.data.status, "cancelled");

  const late = await cancelOrder({ path, headers, body });
  assert.equal(late.error?.status, 412);
  assert.equal(late.error.current_version, cancelled.data.version);

  const impossible = await confirmOrder({ path });
  assert.equal(impossible.error?.status, 409);
  assert.equal(impossible.error.code, "invalid_transition");
}

void run();
