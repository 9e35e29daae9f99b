"""The admin pages of users. `create_token` makes their tokens; the pages revoke them."""

from datetime import datetime
from typing import Any

import knox.admin  # noqa: F401  (registers the page that is removed below)
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Count, Min, QuerySet
from django.forms import CheckboxSelectMultiple, ModelMultipleChoiceField
from django.http import HttpRequest
from knox.models import AuthToken

from config.accounts.models import User
from config.accounts.views import AccountPages

# Knox's page shows digests only, and never the token that it has just made.
admin.site.unregister(AuthToken)
admin.site.unregister(Group)


class RightsAsBoxes(admin.ModelAdmin):
    """Shows roles and permissions as boxes, each with its label.

    Django's two lists beside each other lack labels for screen readers.
    """

    filter_horizontal = ()

    def formfield_for_manytomany(
        self, db_field: Any, request: HttpRequest, **kwargs: Any
    ) -> ModelMultipleChoiceField | None:
        kwargs["widget"] = CheckboxSelectMultiple
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        # The summary counts the rights, which have no names of their own.
        found: tuple[Any, ...] = super().get_deleted_objects(objs, request)
        return [text for text in found[0] if not isinstance(text, list)], *found[1:]


@admin.register(Group)
class RoleAdmin(AccountPages, RightsAsBoxes, GroupAdmin):  # type: ignore[misc]
    """The roles, with the permissions that the code gives them and those that people add."""


@admin.register(User)
class AccountAdmin(AccountPages, RightsAsBoxes, UserAdmin):
    """The people and programs that log in, with their roles and number of tokens."""

    fieldsets = (*(UserAdmin.fieldsets or ()), ("Customer", {"fields": ("customer_id",)}))
    readonly_fields = ("last_login", "date_joined")
    list_display = (
        "username",
        "email",
        "role_names",
        "tokens",
        "next_expiry",
        "is_staff",
        "is_active",
    )
    list_filter = ("groups", "is_staff", "is_active")
    actions = ("revoke_tokens", "end_access")

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        users: QuerySet[User] = super().get_queryset(request)
        return users.prefetch_related("groups").annotate(
            tokens=Count("auth_token_set"), next_expiry=Min("auth_token_set__expiry")
        )

    @admin.display(description="Roles")
    def role_names(self, user: User) -> str:
        return ", ".join(group.name for group in user.groups.all())

    @admin.display(description="Tokens", ordering="tokens")
    def tokens(self, user: User) -> int:
        return int(user.tokens)  # type: ignore[attr-defined]

    @admin.display(description="Next token expires", ordering="next_expiry", empty_value="–")
    def next_expiry(self, user: User) -> datetime | None:
        expiry: datetime | None = user.next_expiry  # type: ignore[attr-defined]
        return expiry

    @admin.action(description="Revoke all tokens of the selected users", permissions=["change"])
    def revoke_tokens(self, request: HttpRequest, users: QuerySet[User]) -> None:
        revoked, _ = AuthToken.objects.filter(user__in=users.values("pk")).delete()
        self.message_user(request, f"Tokens revoked: {revoked}.", messages.SUCCESS)

    @admin.action(
        description="End all sessions and revoke all tokens of the selected users",
        permissions=["change"],
    )
    def end_access(self, request: HttpRequest, users: QuerySet[User]) -> None:
        with transaction.atomic():
            revoked = sum(user.end_access() for user in users)
        text = f"All sessions of the selected users have ended. Tokens revoked: {revoked}."
        self.message_user(request, text, messages.SUCCESS)
