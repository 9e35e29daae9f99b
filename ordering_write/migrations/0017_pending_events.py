"""The cost of a look at the pending commits no longer depends on their number."""

from django.db import migrations, models

# The functions have sequential scans off: a kept plan that was made while few commits were pending
# would read all of them later.
#
# The sequence event_pending_sequenced holds the id of the last pending commit that got positions.
# A long transaction keeps deleted rows in the index of event_pending, and oldest_pending_at begins
# after them. The sequence isn't rolled back with the sequencer, and a commit may become visible
# after others with a higher id: therefore oldest_pending_at begins a little earlier, and the
# sequencer itself ignores the sequence.
MAKE = """
CREATE SEQUENCE event_pending_sequenced;

CREATE OR REPLACE FUNCTION sequence_log(lock bigint, most int) RETURNS int
LANGUAGE plpgsql VOLATILE SET enable_seqscan = off AS $$
DECLARE
    commits int;
    last bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(lock) THEN
        RETURN NULL;
    END IF;
    WITH taken AS (
        DELETE FROM event_pending
        WHERE id IN (SELECT id FROM event_pending ORDER BY id LIMIT most)
        RETURNING id, commit_id
    ), positioned AS (
        INSERT INTO event_position (position, event_id)
        SELECT (SELECT coalesce(max(position), 0) FROM event_position)
               + row_number() OVER (ORDER BY taken.id, event.id), event.id
        FROM taken JOIN event ON event.commit_id = taken.commit_id
    )
    SELECT count(*), max(id) INTO commits, last FROM taken;
    IF commits > 0 THEN
        PERFORM setval('event_pending_sequenced', last);
    END IF;
    RETURN commits;
END $$;

CREATE FUNCTION pending_events(most int) RETURNS bigint
LANGUAGE plpgsql STABLE SET enable_seqscan = off AS $$
BEGIN
    -- Earlier releases insert no number of events.
    RETURN (SELECT coalesce(sum(coalesce(pending.events, (
        SELECT count(*) FROM event WHERE event.commit_id = pending.commit_id
    ))), 0) FROM (SELECT commit_id, events FROM event_pending ORDER BY id LIMIT most) pending);
END $$;

CREATE FUNCTION oldest_pending_at() RETURNS timestamptz
LANGUAGE plpgsql STABLE SET enable_seqscan = off AS $$
BEGIN
    RETURN (SELECT min(event.recorded_at) FROM event WHERE event.commit_id = (
        SELECT commit_id FROM event_pending
        WHERE id > (SELECT last_value - 1000 FROM event_pending_sequenced) ORDER BY id LIMIT 1
    ));
END $$;
"""
FORMER = """
CREATE OR REPLACE FUNCTION sequence_log(lock bigint, most int) RETURNS int
LANGUAGE plpgsql VOLATILE SET enable_seqscan = off AS $$
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
DROP FUNCTION pending_events(int);
DROP FUNCTION oldest_pending_at();
DROP SEQUENCE event_pending_sequenced;
"""


class Migration(migrations.Migration):
    dependencies = [("ordering_write", "0016_plain_help_texts")]

    operations = [
        migrations.AddField(
            model_name="eventpending",
            name="events",
            field=models.PositiveIntegerField(
                null=True, help_text="The number of events of the commit."
            ),
        ),
        migrations.RunSQL(MAKE, reverse_sql=FORMER),
    ]
