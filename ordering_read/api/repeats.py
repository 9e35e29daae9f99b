"""Requests that are sent again: one with the same key is told what the first one was told."""

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast
from uuid import uuid5

from django.conf import settings
from django.db import router, transaction
from django.db.models.functions import Now
from rest_framework.request import Request
from rest_framework.response import Response

from config.accounts.models import User
from config.http.input.idempotency import REPLAYED, idempotency_key
from ordering_read.models import StoredResponse
from ordering_read.queries import View
from ordering_write.published import IdempotencyKeyReusedError


def once(request: Request, act: Callable[[], View]) -> Response:
    """What ``act`` answers, or answered when this user sent ``request`` with its key before.

    Without a key it acts in any case. Raises ParameterError for a key that is none,
    IdempotencyKeyReusedError for one that belongs to another request, and what ``act`` raises.
    """
    key = idempotency_key(request)
    if key is None:
        return Response(act())
    # Only users with a permission get here, and they are logged in.
    request_id = uuid5(cast(User, request.user).id, key)
    asked = _fingerprint(request)
    with transaction.atomic(using=router.db_for_write(StoredResponse)):
        # A parallel repeat waits here for the first one, or takes its place if that is refused.
        kept, is_new = StoredResponse.objects.get_or_create(
            request_id=request_id, defaults={"fingerprint": asked, "response": {}}
        )
        if is_new:
            kept.response = act().model_dump(mode="json")
            kept.save(update_fields=["response"])
            _forget()
    if kept.fingerprint != asked:
        raise IdempotencyKeyReusedError
    return Response(kept.response, headers={} if is_new else {REPLAYED: "true"})


def _fingerprint(request: Request) -> str:
    content: list[Any] = [request.path.rstrip("/"), request.data]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _forget() -> None:
    """Delete the answers that nobody will ask for again; there are few of any age."""
    kept = timedelta(days=settings.COMMAND_RECORD_DAYS)
    StoredResponse.objects.filter(recorded_at__lte=Now() - kept).delete()
