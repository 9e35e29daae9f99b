"""Saved views: filters of the list of orders that people keep under a name, for them or for all."""

from collections.abc import Sequence
from typing import Any

from django.core.cache import cache
from django.db import transaction
from django.db.models import Q, QuerySet

from config.accounts.models import SavedView, User

# The most views of one person.
MOST_VIEWS = 50

_CACHE_SECONDS = 5


class TooManyViewsError(Exception):
    """You have 50 saved views: delete some first."""


class NameTakenError(Exception):
    """You have another view with this name."""


def views_of(user: User) -> Sequence[SavedView]:
    """Return the views of ``user``, then the shared views of others, each by name."""
    views = SavedView.objects.filter(Q(user=user) | Q(is_shared=True)).select_related("user")
    return sorted(views, key=lambda view: (view.user_id != user.pk, view.name.casefold()))


def recent_views_of(user: Any) -> Sequence[SavedView]:
    """Return ``views_of`` as of the last few seconds."""
    views: Sequence[SavedView] | None = cache.get(_cache_key(user))
    if views is None:
        views = views_of(user)
        cache.set(_cache_key(user), views, _CACHE_SECONDS)
    return views


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
    cache.delete(_cache_key(user))


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
    cache.delete(_cache_key(user))
    return True


def delete(user: User, key: int, *, may_share: bool) -> bool:
    """Delete a view; return False if there is no such view that ``user`` may change."""
    deleted, _ = _changeable(user, may_share=may_share).filter(pk=key).delete()
    cache.delete(_cache_key(user))
    return bool(deleted)


def _changeable(user: User, *, may_share: bool) -> QuerySet[SavedView]:
    """Return the views of ``user``, and the shared ones for users who may share views."""
    owned = Q(user=user)
    return SavedView.objects.filter(owned | Q(is_shared=True) if may_share else owned)


def _cache_key(user: User) -> str:
    return f"saved-views:{user.pk}"
