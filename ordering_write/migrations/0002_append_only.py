"""The log refuses every change, whoever asks; and order numbers come from a sequence."""

from django.db import migrations

REFUSE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The event log is append-only: % of % is refused.', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON event
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON event
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON event_position
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON event_position
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""
ALLOW = """
DROP TRIGGER append_only ON event;
DROP TRIGGER append_only_whole ON event;
DROP TRIGGER append_only ON event_position;
DROP TRIGGER append_only_whole ON event_position;
DROP FUNCTION refuse_change();
"""

# Every row of event_pending is deleted a moment after it was made. Vacuum after a fixed number of
# them, so that the sequencer's look at the table stays short.
SMALL = """
ALTER TABLE event_pending SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000
);
"""


class Migration(migrations.Migration):
    dependencies = [("ordering_write", "0001_initial")]

    operations = [
        migrations.RunSQL(
            "CREATE SEQUENCE order_number_seq", reverse_sql="DROP SEQUENCE order_number_seq"
        ),
        migrations.RunSQL(REFUSE, reverse_sql=ALLOW),
        migrations.RunSQL(SMALL, reverse_sql=migrations.RunSQL.noop),
    ]
