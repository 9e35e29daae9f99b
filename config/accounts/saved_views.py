"""Saved views: filters of the list of orders that people keep under a name, for them or for all."""

import json
from collections.abc import Sequence
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from config.accounts.models import SavedView, User

# The most views of one person.
MOST_VIEWS = 50

# The views of a user as JSON, within a statement that reads the user from accounts_user.
VIEWS = """
SELECT coalesce(jsonb_agg(jsonb_build_array(
    view.id, view.user_id, owner.username, view.name, view.query, view.is_shared)), '[]')
FROM saved_view AS view JOIN accounts_user AS owner ON owner.id = view.user_id
WHERE view.user_id = accounts_user.id OR view.is_shared
"""


class TooManyViewsError(Exception):
    """You have 50 saved views: delete some first."""


class NameTakenError(Exception):
    """You have another view with this name."""


def views_of(user: User) -> Sequence[SavedView]:
    """Return the views of ``user``, then the shared views of others, each by name.

    Takes no statement for the user of a session, who was read with them.
    """
    if hasattr(user, "saved_view_rows"):
        views = [_view_of(*row) for row in json.loads(user.saved_view_rows)]
    else:
        selected = SavedView.objects.filter(Q(user=user) | Q(is_shared=True))
        views = list(selected.select_related("user"))
    return sorted(views, key=lambda view: (view.user_id != user.pk, view.name.casefold()))


def _view_of(
    key: int, user_id: str, username: str, name: str, query: str, is_shared: bool
) -> SavedView:
    owner = User(id=UUID(user_id), username=username)
    return SavedView(id=key, user=owner, name=name, query=query, is_shared=is_shared)


def save(user: User, *, name: str, query: str, is_shared: bool) -> None:
    """Save the filters ``query`` as the view ``name`` of ``user``; replace a view of this name.

    Raises TooManyViewsError.
    """
    with transaction.atomic():
        # Parallel requests of one person wait for each other, so that the limit holds.
        User.objects.select_for_update().get(pk=user.pk)
        own = SavedView.objects.filter(user=user)
        if not own.filter(name=name).exists() and own.count() >= MOST_VIEWS:
            raise TooManyViewsError(TooManyViewsError.__doc__)
        own.update_or_create(
            user=user, name=name, defaults={"query": query, "is_shared": is_shared}
        )


def rename(user: User, key: int, name: str, *, may_share: bool) -> bool:
    """Rename a view; return False if there is no such view that ``user`` may change.

    Raises NameTakenError.
    """
    with transaction.atomic():
        view = _changeable(user, may_share=may_share).select_for_update().filter(pk=key).first()
        if view is None:
            return False
        others = SavedView.objects.filter(user=view.user_id, name=name).exclude(pk=key)
        if others.exists():
            raise NameTakenError(NameTakenError.__doc__)
        view.name = name
        view.save(update_fields=["name"])
    return True


def delete(user: User, key: int, *, may_share: bool) -> bool:
    """Delete a view; return False if there is no such view that ``user`` may change."""
    deleted, _ = _changeable(user, may_share=may_share).filter(pk=key).delete()
    return bool(deleted)


def _changeable(user: User, *, may_share: bool) -> QuerySet[SavedView]:
    """Return the views of ``user``, and the shared ones for users who may share views."""
    owned = Q(user=user)
    return SavedView.objects.filter(owned | Q(is_shared=True) if may_share else owned)
