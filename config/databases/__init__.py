"""A Django database backend: PostgreSQL, with an embedded server that starts on demand."""
