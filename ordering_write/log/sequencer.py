"""The sequencer: assigns positions to committed events.

The id of an event is drawn before its transaction commits, so a slow transaction can show an older
id after a newer one was read; a reader that remembers ids would miss that event. The sequencer
assigns positions after the commit, to whole commits, one process at a time, without a gap. A reader
remembers a position and can prove that it skipped nothing.
"""

from django.db import connection

# Any number that nothing else in this database locks.
_SEQUENCER_LOCK = 7_301_001
# Commits of one transaction: enough to be fast in a burst, few enough to hold the lock briefly.
_BATCH = 200


def sequence() -> bool:
    """Assign positions to all committed events that have none.

    Returns False while another process does so: the newest events may have no position yet.
    """
    with connection.cursor() as cursor:
        while True:
            # A function of the migrations. It returns None while another process holds the lock.
            cursor.execute("SELECT sequence_log(%s, %s)", [_SEQUENCER_LOCK, _BATCH])
            [commits] = cursor.fetchone()
            if commits is None or commits < _BATCH:
                return commits is not None
