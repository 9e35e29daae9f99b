"""The admin of users; tokens are shown by knox, hashed."""

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin

from config.accounts.models import User


@admin.register(User)
class AccountAdmin(UserAdmin):
    fieldsets = (*UserAdmin.fieldsets, ("Customer", {"fields": ("customer_id",)}))
    list_display = ("username", "email", "role_names", "is_staff", "is_active")
    list_filter = ("groups", "is_staff", "is_active")

    def get_queryset(self, request):
        return super().get_queryset(request).prefetch_related("groups")

    @admin.display(description="Roles")
    def role_names(self, user: User) -> str:
        return ", ".join(group.name for group in user.groups.all())
