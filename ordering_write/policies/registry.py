"""The list of all policies."""

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
POLICIES: dict[str, Policy] = {
    policy.name: policy
    for policy in (
        ReviewRisk(),
        ConfirmPaid(),
        ExpireUnpaid(),
        CompleteDelivered(),
        PlaceExchanges(),
        RefundCredit(),
        PayRefunds(),
        RequestCaptures(),
        CapturePayments(),
        VoidAuthorizations(),
        BookParcels(),
        TrackParcels(),
        TellCustomers(),
    )
}
# Policies by their former names too. A timer that an earlier release has set keeps its id, so the
# commands of both releases have the same ids.
BY_NAME: dict[str, Policy] = {
    **POLICIES,
    "refund_cancelled": POLICIES[RefundCredit.name],
    "refund_returned": POLICIES[RefundCredit.name],
}


def label_of(name: str) -> str:
    """Return the label of the policy ``name``; the words of its name for a removed policy."""
    policy = BY_NAME.get(name)
    return policy.label if policy else name.replace("_", " ")
