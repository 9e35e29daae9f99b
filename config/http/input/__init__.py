"""Reading a request: body, query parameters, headers."""
