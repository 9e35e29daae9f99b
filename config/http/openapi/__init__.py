"""The OpenAPI document: schemas, examples, documented headers."""
