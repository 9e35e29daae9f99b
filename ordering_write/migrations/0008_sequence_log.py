"""The sequencer becomes a function of the database: one round trip, planned once."""

from django.db import migrations

# Gives positions to the events of at most so many commits; returns of how many, NULL when somebody
# else is at it. In READ COMMITTED each statement of a volatile function has a snapshot of its own,
# which for the second one must be taken after the lock is held, or it would not see the positions
# that the former holder gave. To be called in a transaction of its own, which holds the lock.
MAKE = """
CREATE FUNCTION sequence_log(lock bigint, most int) RETURNS int LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    commits int;
BEGIN
    IF NOT pg_try_advisory_xact_lock(lock) THEN
        RETURN NULL;
    END IF;
    WITH taken AS (
        DELETE FROM event_pending
        WHERE id IN (SELECT id FROM event_pending ORDER BY id LIMIT most)
        RETURNING id, commit_id
    ), placed AS (
        INSERT INTO event_position (position, event_id)
        SELECT (SELECT coalesce(max(position), 0) FROM event_position)
               + row_number() OVER (ORDER BY taken.id, event.id), event.id
        FROM taken JOIN event ON event.commit_id = taken.commit_id
    )
    SELECT count(*) INTO commits FROM taken;
    RETURN commits;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("ordering_write", "0007_customers_erased")]

    operations = [
        migrations.RunSQL(MAKE, reverse_sql="DROP FUNCTION sequence_log(bigint, int)")
    ]
