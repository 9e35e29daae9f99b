"""The log gets an identity of its own, by which a restored or foreign log is known."""

from django.db import migrations

# One row, for good. It has no model: nobody but the log itself asks for it.
MAKE = """
CREATE TABLE log_identity (id uuid NOT NULL);
CREATE UNIQUE INDEX log_identity_one_row ON log_identity ((true));
INSERT INTO log_identity VALUES (gen_random_uuid());
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON log_identity
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON log_identity
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("ordering_write", "0002_append_only")]

    operations = [migrations.RunSQL(MAKE, reverse_sql="DROP TABLE log_identity")]
