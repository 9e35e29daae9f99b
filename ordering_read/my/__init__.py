"""The pages of customers: they log in, look at their orders, cancel, return and order again.

The pages ask the query bus for the data of one customer, and give commands as that customer. They
are no part of the admin site, and work without script.
"""
