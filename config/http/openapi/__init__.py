"""The OpenAPI document: schemas, examples, headers, and its pages."""
