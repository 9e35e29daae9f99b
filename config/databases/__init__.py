"""A Django database backend: PostgreSQL, the embedded server started when a connection needs it."""
