"""The admin pages of users. `create_token` makes their tokens; the pages revoke them."""

import knox.admin  # noqa: F401  (registers the page that is removed below)
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from knox.models import AuthToken

from config.accounts.models import User

# Knox's page shows digests only, and never the token that it has just made.
admin.site.unregister(AuthToken)


@admin.register(User)
class AccountAdmin(UserAdmin):
    """The people and programs that log in, with their roles and number of tokens."""

    fieldsets = (*(UserAdmin.fieldsets or ()), ("Customer", {"fields": ("customer_id",)}))
    list_display = ("username", "email", "role_names", "tokens", "is_staff", "is_active")
    list_filter = ("groups", "is_staff", "is_active")
    actions = ("revoke_tokens",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        users: QuerySet[User] = super().get_queryset(request)
        return users.prefetch_related("groups").annotate(tokens=Count("auth_token_set"))

    @admin.display(description="Roles")
    def role_names(self, user: User) -> str:
        return ", ".join(group.name for group in user.groups.all())

    @admin.display(description="Tokens", ordering="tokens")
    def tokens(self, user: User) -> int:
        return int(user.tokens)  # type: ignore[attr-defined]

    @admin.action(description="Revoke all tokens of the selected users", permissions=["change"])
    def revoke_tokens(self, request: HttpRequest, users: QuerySet[User]) -> None:
        revoked, _ = AuthToken.objects.filter(user__in=users.values("pk")).delete()
        self.message_user(request, f"Tokens revoked: {revoked}.", messages.SUCCESS)
