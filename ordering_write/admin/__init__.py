"""The read-only admin pages of the write side: the log, the commands and the stock items."""

from ordering_write.admin import command_record, command_refusal, outbox, stock

__all__ = ["command_record", "command_refusal", "outbox", "stock"]
