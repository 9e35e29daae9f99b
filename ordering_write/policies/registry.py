"""The registry of the policies, and ours."""

from collections.abc import Sequence

from config.fields.names import check_name, taken
from ordering_write.policies.base import Policy
from ordering_write.policies.money import (
    CapturePayments,
    PayRefunds,
    RefundCredit,
    RequestCaptures,
    VoidAuthorizations,
)
from ordering_write.policies.notices import TellCustomers
from ordering_write.policies.orders import (
    CompleteDelivered,
    ConfirmPaid,
    ExpireUnpaid,
    PlaceExchanges,
    ReviewRisk,
)
from ordering_write.policies.parcels import BookParcels, TrackParcels

# By name. Names stand in timers and events: a renamed policy is another policy.
POLICIES: dict[str, Policy] = {}
# Policies by their former names too. A timer that an earlier release has set keeps its id, so the
# commands of both releases have the same ids.
BY_NAME: dict[str, Policy] = {}


def register(policy: Policy, *, formerly: Sequence[str] = ()) -> None:
    """Let ``policy`` act, also on the timers that it has set under its former names.

    Raises RegistrationError for a name that is taken or breaks the rule of ``check_name``.
    """
    module = type(policy).__module__
    for name in (policy.name, *formerly):
        check_name("policy", name, module=module)
        if name in BY_NAME:
            raise taken("policy", name, type(BY_NAME[name]).__module__, module)
        BY_NAME[name] = policy
    POLICIES[policy.name] = policy


register(ReviewRisk())
register(ConfirmPaid())
register(ExpireUnpaid())
register(CompleteDelivered())
register(PlaceExchanges())
register(RefundCredit(), formerly=("refund_cancelled", "refund_returned"))
register(PayRefunds())
register(RequestCaptures())
register(CapturePayments())
register(VoidAuthorizations())
register(BookParcels())
register(TrackParcels())
register(TellCustomers())


def label_of(name: str) -> str:
    """Return the label of the policy ``name``; the words of its name for a removed policy."""
    policy = BY_NAME.get(name)
    return policy.label if policy else name.replace("_", " ")
