"""The sequencer: assigns positions to committed events.

The id of an event is drawn before its transaction commits, so a slow transaction can show an older
id after a newer one was read; a reader that remembers ids would miss that event. The sequencer
assigns positions after the commit, to whole commits, one process at a time, without a gap. A reader
remembers a position and can prove that it skipped nothing.
"""

from django.db import connection

from config.databases import prepared

# Any number that nothing else in this database locks.
_SEQUENCER_LOCK = 7_301_001
# Commits of one transaction: enough to be fast in a burst, few enough to hold the lock briefly.
_BATCH = 200
# Batches of one call: after an outage of the workers, neither a request nor the lease of a runner
# may last until all commits have positions.
_BATCHES = 5
# Pending commits from which commands assign positions themselves.
_BACKLOG = 500

# Calls a function of the migrations. It returns None while another process holds the lock.
_SEQUENCE = "SELECT sequence_log(%s, %s)"
_RELIEVE = f"{_SEQUENCE} FROM (SELECT FROM event_pending ORDER BY id OFFSET %s LIMIT 1) AS backlog"


def sequence(*, batches: float = _BATCHES) -> bool:
    """Assign positions to the committed events that have none, in at most so many ``batches``.

    Returns False if the newest events may have no position yet: more than ``batches`` are pending,
    or another process is assigning positions.
    """
    count = 0
    while count < batches:
        [(commits,)] = prepared.fetch(connection.alias, _SEQUENCE, [_SEQUENCER_LOCK, _BATCH])
        if commits is None or commits < _BATCH:
            return commits is not None
        count += 1
    return False


def relieve() -> None:
    """Assign positions to one batch of commits if so many are pending that no worker can be
    running.

    Call this function once in 100 commits: then about _BACKLOG commits are pending at most, and
    workers that return after days begin at once.
    """
    prepared.fetch(connection.alias, _RELIEVE, [_SEQUENCER_LOCK, _BATCH, _BACKLOG])
