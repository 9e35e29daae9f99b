"""Idempotent requests of the read side: a repeat with the same key gets the stored response."""

import hashlib
import json
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, cast
from uuid import uuid5

from django.conf import settings
from django.db import router, transaction
from django.db.models.functions import Now
from rest_framework.request import Request
from rest_framework.response import Response

from config.accounts.models import User
from config.databases.retry import on_transient_errors
from config.http.input.idempotency import REPLAYED, idempotency_key
from ordering_read.models import StoredResponse
from ordering_read.queries import View
from ordering_write.published import IdempotencyKeyReusedError


def idempotent(
    request: Request, act: Callable[[], View], *, status: int = 200, unstored: Iterable[str] = ()
) -> Response:
    """Return the response of ``act``, or the stored response if the user repeats ``request``.

    The fields ``unstored``, such as secrets, are in the first response only: a repeat has null for
    them. Without a key, ``act`` is always called. Raises ParameterError for a malformed key,
    IdempotencyKeyReusedError for the key of another request, and the errors of ``act``.
    """
    key = idempotency_key(request)
    if key is None:
        return Response(act(), status=status)
    # The permission check has refused anonymous users.
    request_id = uuid5(cast(User, request.user).id, key)
    fingerprint = _fingerprint(request)

    def act_once() -> tuple[StoredResponse, Any, bool]:
        with transaction.atomic(using=router.db_for_write(StoredResponse)):
            # A parallel repeat waits here for the first request, and acts if the first is refused.
            stored, is_new = StoredResponse.objects.get_or_create(
                request_id=request_id, defaults={"fingerprint": fingerprint, "response": {}}
            )
            response = stored.response
            if is_new:
                response = act().model_dump(mode="json")
                stored.response = response | dict.fromkeys(unstored)
                stored.save(update_fields=["response"])
                _purge()
        return stored, response, is_new

    stored, response, is_new = on_transient_errors(act_once)
    if stored.fingerprint != fingerprint:
        raise IdempotencyKeyReusedError
    headers = {} if is_new else {REPLAYED: "true"}
    return Response(response, status=status, headers=headers)


def _fingerprint(request: Request) -> str:
    content: list[Any] = [request.path.rstrip("/"), request.data]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _purge() -> None:
    """Delete the expired responses; there are only a few."""
    lifetime = timedelta(days=settings.COMMAND_RECORD_DAYS)
    StoredResponse.objects.filter(recorded_at__lte=Now() - lifetime).delete()
