"""Exports of lists: who asked for them, their progress, and their files in the database.

The files are in the database of the write side, so that each web server and each worker reaches
them. This package knows nothing of the lists.
"""
