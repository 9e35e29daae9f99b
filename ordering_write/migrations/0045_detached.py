"""Events may leave the log that the archive has, where a file is marked as detached."""

from django.db import migrations, models

# Both triggers fire after a statement: they see all rows that it has deleted. Events go before
# their positions, in one transaction.
ALLOW = """
CREATE FUNCTION detached_until() RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT coalesce(max(last), 0) FROM archived_file WHERE detached_at IS NOT NULL
$$;

CREATE FUNCTION detach_events() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE until bigint := detached_until();
BEGIN
    IF EXISTS (
        SELECT FROM gone LEFT JOIN event_position ON event_position.event_id = gone.id
        WHERE event_position.position IS NULL OR event_position.position > until
    ) OR EXISTS (
        -- The newest of these events in each stream stays, for version and hash.
        SELECT FROM (SELECT stream, max(version) AS version FROM gone GROUP BY stream) AS newest
        WHERE NOT EXISTS (
            SELECT FROM event JOIN event_position ON event_position.event_id = event.id
            WHERE event.stream = newest.stream AND event.version > newest.version
              AND event_position.position <= until
        )
    ) THEN
        RAISE EXCEPTION 'The event log is append-only: % of % is refused.', TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    INSERT INTO detached_span (id, first, last, is_command)
    SELECT owner.id, min(position), max(position), bool_or(owner.is_command)
    FROM gone JOIN event_position ON event_position.event_id = gone.id, LATERAL (
        -- The name of a stream ends with the id of its aggregate.
        VALUES (right(stream, 36)::uuid, false), (command_id, true), (correlation_id, false)
    ) AS owner (id, is_command)
    GROUP BY owner.id ORDER BY owner.id
    ON CONFLICT (id) DO UPDATE SET
        first = least(detached_span.first, excluded.first),
        last = greatest(detached_span.last, excluded.last),
        is_command = detached_span.is_command OR excluded.is_command;
    RETURN NULL;
END $$;

CREATE FUNCTION detach_positions() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE until bigint := detached_until();
BEGIN
    IF EXISTS (
        SELECT FROM gone
        WHERE position > until OR EXISTS (SELECT FROM event WHERE event.id = gone.event_id)
    ) THEN
        RAISE EXCEPTION 'The event log is append-only: % of % is refused.', TG_OP, TG_TABLE_NAME
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NULL;
END $$;

DROP TRIGGER append_only ON event;
CREATE TRIGGER append_only BEFORE UPDATE ON event
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER detached_only AFTER DELETE ON event REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION detach_events();
DROP TRIGGER append_only ON event_position;
CREATE TRIGGER append_only BEFORE UPDATE ON event_position
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER detached_only AFTER DELETE ON event_position REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION detach_positions();
"""
REFUSE = """
DROP TRIGGER detached_only ON event;
DROP TRIGGER append_only ON event;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON event
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
DROP TRIGGER detached_only ON event_position;
DROP TRIGGER append_only ON event_position;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON event_position
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
DROP FUNCTION detach_events();
DROP FUNCTION detach_positions();
DROP FUNCTION detached_until();
"""


class Migration(migrations.Migration):
    dependencies = [("ordering_write", "0044_queue_owner")]

    operations = [
        migrations.AddField(
            "archivedfile",
            "detached_at",
            models.DateTimeField(
                null=True, help_text="From this time on, events of the file may leave the database."
            ),
        ),
        migrations.CreateModel(
            "DetachedSpan",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("first", models.BigIntegerField()),
                ("last", models.BigIntegerField()),
                ("is_command", models.BooleanField()),
            ],
            options={"db_table": "detached_span", "default_permissions": ()},
        ),
        migrations.RunSQL(ALLOW, reverse_sql=REFUSE),
    ]
