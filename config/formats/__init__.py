"""Date and time formats of the pages, by language."""
