"""The read-only admin pages of the write side: the log, the commands and the stock items."""

from ordering_write.admin import command_record, outbox, stock

__all__ = ["command_record", "outbox", "stock"]
