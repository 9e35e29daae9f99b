"""The sequencer begins with its batch of pending commits, whatever the statistics of the tables."""

from django.db import migrations

# Statistics are often made while event_pending is empty. The planner then expects one row, however
# many commits are pending later, and may compare all of them, or all events, with each commit of
# the batch. An array, and a LATERAL subquery with OFFSET, leave the planner no such choice.
FUNCTION = """
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
        DELETE FROM event_pending WHERE id {batch}
        RETURNING id, commit_id
    ), positioned AS (
        INSERT INTO event_position (position, event_id)
        SELECT (SELECT coalesce(max(position), 0) FROM event_position)
               + row_number() OVER (ORDER BY taken.id, event.id), event.id
        FROM taken {events}
    )
    SELECT count(*), max(id) INTO commits, last FROM taken;
    IF commits > 0 THEN
        PERFORM setval('event_pending_sequenced', last);
    END IF;
    RETURN commits;
END $$;
"""
BY_BATCH = FUNCTION.format(
    batch="= ANY (ARRAY(SELECT id FROM event_pending ORDER BY id LIMIT most))",
    events="""CROSS JOIN LATERAL (
            SELECT id FROM event WHERE event.commit_id = taken.commit_id OFFSET 0
        ) event""",
)
FORMER = FUNCTION.format(
    batch="IN (SELECT id FROM event_pending ORDER BY id LIMIT most)",
    events="JOIN event ON event.commit_id = taken.commit_id",
)


class Migration(migrations.Migration):
    dependencies = [("ordering_write", "0033_attention_resolved")]

    operations = [migrations.RunSQL(BY_BATCH, reverse_sql=FORMER)]
