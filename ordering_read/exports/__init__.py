"""Exports of lists as files: the columns of each list, the formats, and the jobs of the workers."""
