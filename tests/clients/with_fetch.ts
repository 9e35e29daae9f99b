// A program that uses the types of openapi-typescript with openapi-fetch: it places an order, reads
// it, tries a cancellation, cancels it, and meets the refusals 409, 412 and 422.
// Arguments: the service's address, a token, the ids of a customer and of a product.
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { paths } from "./generated/schema";

const [address = "", token = "", customerId = "", productId = ""] = process.argv.slice(2);
// The lists are files too: a client that names these two gets objects only.
type Answers = "application/json" | "application/problem+json";

const client = createClient<paths, Answers>({
  baseUrl: address,
  headers: { Authorization: `Token ${token}` },
});

async function run(): Promise<void> {
  const placed = await client.POST("/api/v1/orders", {
    params: { header: { "Idempotency-Key": crypto.randomUUID() } },
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
  });
  assert(placed.data);
  const path = { order_id: placed.data.order_id };
  const seen = placed.response.headers.get("Consistency-Token") ?? "";

  const read = await client.GET("/api/v1/orders/{order_id}", {
    params: { path, header: { "Consistency-Token": seen, Prefer: "wait=10" } },
  });
  assert(read.data);
  assert.equal(read.data.order_number, placed.data.order_number);
  assert.equal(read.data.total_amount, "39.80");
  assert.deepEqual(read.data.items.map((line) => line.quantity), [2]);

  const list = await client.GET("/api/v1/orders", { params: { query: { page_size: 1 } } });
  assert.equal(list.data?.results.length, 1);

  const tag = { "If-Match": read.response.headers.get("ETag") ?? "" };
  const body = { reason: "Ordered twice" };
  const preview = await client.POST("/api/v1/orders/{order_id}/cancel/preview", {
    params: { path, header: tag },
    body,
  });
  assert.equal(preview.data?.status_after, "cancelled");
  assert.equal(preview.data.would_emit[0]?.type, "OrderCancelled");

  const invalid = await client.POST("/api/v1/orders/{order_id}/cancel", {
    params: { path },
    body: { reason: "" },
  });
  assert.equal(invalid.error?.status, 422);
  assert.equal(invalid.error.errors?.[0]?.pointer, "#/reason");

  const cancelled = await client.POST("/api/v1/orders/{order_id}/cancel", {
    params: { path, header: tag },
    body,
  });
  assert.equal(cancelled.data?.status, "cancelled");

  const late = await client.POST("/api/v1/orders/{order_id}/cancel", {
    params: { path, header: tag },
    body,
  });
  assert.equal(late.error?.status, 412);
  assert.equal(late.error.current_version, cancelled.data.version);

  const impossible = await client.POST("/api/v1/orders/{order_id}/confirm", { params: { path } });
  assert.equal(impossible.error?.status, 409);
  assert.equal(impossible.error.code, "invalid_transition");
}

void run();
