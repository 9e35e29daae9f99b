"""The sequencer: gives positions to committed events.

An event's id is drawn before its transaction commits, so a slow transaction can show an older id
after a newer one was read; a reader that remembers ids would lose that event. The sequencer gives
positions after the commit, to whole commits, one process at a time, and without a hole. A reader
therefore remembers a position and can prove that it skipped nothing.
"""

from django.db import connection

# Any number will do, as long as nothing else in this database locks it.
_SEQUENCER_LOCK = 7_301_001
# Commits that get their positions in one transaction; large enough to be quick in a burst, small
# enough that the lock is never held for long.
_COMMITS_AT_ONCE = 200


def sequence() -> bool:
    """Give positions to all committed events that have none; False when somebody else is at it,
    so that the newest may have none yet."""
    with connection.cursor() as cursor:
        while True:
            # See its definition in the migrations. None: it is locked by somebody else.
            cursor.execute("SELECT sequence_log(%s, %s)", [_SEQUENCER_LOCK, _COMMITS_AT_ONCE])
            [commits] = cursor.fetchone()
            if commits is None or commits < _COMMITS_AT_ONCE:
                return commits is not None
