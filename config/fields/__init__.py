"""Types of fields that commands, queries and events share: text and amounts. No Django."""
