"""System: the state of all parts that work behind the pages. The page refreshes itself."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import capfirst

from config.http.admin import list_url
from ordering_read import permissions
from ordering_read.admin import banner
from ordering_read.models import ParkedEvent, Projection
from ordering_read.projector import labels
from ordering_read.queries.system import (
    Course,
    GenerationView,
    GetSystem,
    ProjectionState,
    SubscriberState,
    SystemView,
)
from ordering_read.screens.base import Screen
from ordering_read.screens.courses import Line, line
from ordering_write.published import policies, subscriptions

# Seconds for which all viewers see the same look. The part asks again after five seconds.
_CACHE_SECONDS = 4

_Status = Projection.Status
# The words for the state of a projection, and the tone of its badge.
_STATES = {
    "live": ("up to date", True),
    "late": ("late", False),
    "failed": ("stopped", False),
    "outdated": ("made by another release", False),
    "building": ("being rebuilt", True),
    "paused": ("rebuild paused", False),
}


class SystemScreen(Screen):
    """The page System.

    With ``part=system``, the answer is only the part that refreshes itself.
    """

    template_name = "screens/system.html"
    title = "System"
    needed_permission = permissions.VIEW_PROJECTIONS

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        part = self._part()
        if request.GET.get("part") == "system":
            return HttpResponse(part)
        # The part has the one banner of this page, and keeps it fresh.
        context = self.get_context_data(part=part, projection_warnings=list)
        return self.render_to_response(context)

    def _part(self) -> SafeString:
        """Return the HTML of the part, the same for all viewers with the same permissions."""
        may_rebuild = self.may(permissions.REBUILD_PROJECTIONS)
        key = f"system-{may_rebuild}"
        html: str | None = cache.get(key)
        if html is None:
            system = self.ask(GetSystem())
            # The banner of the page needs the same figures.
            statuses = [state.status for state in system.projections]
            warnings = banner.note(statuses, system.given_up)
            context = {"may_rebuild": may_rebuild, "warnings": warnings, **_context(system)}
            html = render_to_string("screens/system_part.html", context)
            cache.set(key, html, _CACHE_SECONDS)
        # It was rendered by the template above.
        return mark_safe(html)  # noqa: S308


def _context(system: SystemView) -> dict[str, Any]:
    alive = [worker for worker in system.workers if not worker.is_silent]
    return {
        "system": system,
        "site": settings.READ_SITE,
        "no_worker": not alive,
        "last_seen": system.workers[0].seen_at if system.workers and not alive else None,
        "projections": [_projection(state) for state in system.projections],
        "subscribers": [_subscriber(state) for state in system.subscribers],
        "policies": [_policy(status) for status in system.policies],
        "upcoming": policies.UPCOMING,
        "is_capped": sum(s.waiting + s.due for s in system.policies) >= policies.UPCOMING,
        "parked_url": list_url(ParkedEvent),
    }


def _charts(course: Course) -> Sequence[Line]:
    return (
        line("Age of the oldest event that isn't applied", course.lag, _seconds),
        line("Events a second", course.rate, _rate),
        line("Time of a batch", course.batch, _milliseconds),
    )


def _follower(status: subscriptions.SubscriberStatus, course: Course) -> dict[str, Any]:
    """Return the progress of a subscriber, as figures and charts."""
    lag, rate, batch = _charts(course)
    return {
        "status": status,
        "lag_seconds": _seconds(status.lag_seconds),
        "rate_now": _rate(course.rate[-1].value) if course.rate else "",
        "batch_now": _milliseconds(1000 * status.last_batch_seconds),
        "lag": lag,
        "rate": rate,
        "batch": batch,
    }


def _state(status: subscriptions.SubscriberStatus, name: str) -> dict[str, Any]:
    """Return the state called ``name`` in words; a late subscriber is called late."""
    is_late = status.lag_seconds > settings.PROJECTION_LAG_ALERT_SECONDS
    text, is_good = _STATES["failed" if status.failed else "late" if is_late else name]
    return {"state": text, "is_good": is_good}


def _projection(state: ProjectionState) -> dict[str, Any]:
    status = state.status
    return {
        **_follower(status, state.course),
        **_state(status, status.status),
        "label": capfirst(labels([status.name])),
        "slices_behind": sum(part.lag_events > 0 for part in status.slices),
        "others": state.others,
        "verified_at": state.verified_at,
        "verification": state.verification,
        "is_wrong": state.verified_at and state.wrong_rows != 0,
        "actions": list(_actions(state.others)),
        "query": f"?projection={status.name}",
    }


def _actions(others: Sequence[GenerationView]) -> Iterable[tuple[str, str]]:
    """Yield what can be done with a projection now: the label, and the name of the URL."""
    of_status = {generation.status: generation for generation in others}
    building = of_status.get(_Status.BUILDING)
    if building is None:
        yield "Rebuild…", "screens:rebuild"
        yield "Compare…", "screens:verify"
    else:
        if building.is_ready:
            yield "Take over…", "screens:promote"
        elif building.is_running and not building.is_paused:
            yield "Pause…", "screens:pause"
        else:
            yield "Resume…", "screens:resume"
        yield "Cancel…", "screens:cancel"
    if _Status.RETIRED in of_status:
        yield "Roll back…", "screens:roll-back"
        yield "Discard former…", "screens:discard"


def _subscriber(state: SubscriberState) -> dict[str, Any]:
    status = state.status
    subscription = subscriptions.find(state.subscription)
    label = policy_label(status.name)
    if subscription.metric_label:
        # The subscription has several subscribers: the label is "Webhook endpoint books", say.
        label = capfirst(f"{subscription.noun} {status.name}")
    return {**_follower(status, state.course), **_state(status, "live"), "label": label}


def _policy(status: policies.PolicyStatus) -> dict[str, Any]:
    return {"label": policy_label(status.name), "status": status}


def policy_label(name: str) -> str:
    """Return the name of a policy as people read it: ``Refund of credit``."""
    return capfirst(policies.label_of(name))


def _seconds(value: float) -> str:
    return f"{value:,.1f} s" if 0 < value < 10 else f"{value:,.0f} s"


def _rate(value: float) -> str:
    return f"{value:,.1f}" if 0 < value < 10 else f"{value:,.0f}"


def _milliseconds(value: float) -> str:
    return f"{value:,.1f} ms" if 0 < value < 10 else f"{value:,.0f} ms"
