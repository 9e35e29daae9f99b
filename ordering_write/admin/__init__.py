"""The admin pages of the write side, all to look at: the log, the commands, the stock behind it."""

from ordering_write.admin import command_record, outbox, stock

__all__ = ["command_record", "outbox", "stock"]
