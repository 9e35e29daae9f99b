"""What a user may do, asked of the database at once."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.db import connection

# Django asks for a user's own permissions and for those of the groups one after the other, and
# takes longer to put that together than it takes to run: too much for each request.
_HELD = """
SELECT coalesce(array_agg(type.app_label || '.' || permission.codename), '{}')
FROM auth_permission permission
JOIN django_content_type type ON type.id = permission.content_type_id
WHERE permission.id IN (
    SELECT permission_id FROM accounts_user_user_permissions WHERE user_id = %(user)s
    UNION ALL
    SELECT permission_id FROM auth_group_permissions
    JOIN accounts_user_groups USING (group_id) WHERE user_id = %(user)s
)
"""


class Backend(ModelBackend):
    """Django's own, which finds what it would ask for already known."""

    def get_all_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        is_listed = user_obj.is_active and not user_obj.is_superuser and obj is None
        if is_listed and not hasattr(user_obj, "_perm_cache"):
            with connection.cursor() as cursor:
                cursor.execute(_HELD, {"user": user_obj.pk})
                user_obj._perm_cache = set(cursor.fetchone()[0])
        known: set[str] = super().get_all_permissions(user_obj, obj)
        return known
