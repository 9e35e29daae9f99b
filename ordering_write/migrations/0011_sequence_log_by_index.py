"""The sequencer finds events by their index, however few there were when it was first asked."""

from django.db import migrations

# The plans of a function are kept for as long as a connection lasts. One that was made while the
# log was short would read all of the log for each commit, until PostgreSQL counts its rows again.
BY_INDEX = "ALTER FUNCTION sequence_log(bigint, int) SET enable_seqscan = off"
AS_IT_LIKES = "ALTER FUNCTION sequence_log(bigint, int) RESET enable_seqscan"


class Migration(migrations.Migration):
    dependencies = [("ordering_write", "0010_skipped_timers")]

    operations = [migrations.RunSQL(BY_INDEX, reverse_sql=AS_IT_LIKES)]
