"""Pages of our own on the admin site, one module for each: its query and its template.

They look like the admin, need its login, and change nothing: what they offer leads to commands.
"""
