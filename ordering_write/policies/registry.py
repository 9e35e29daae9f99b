"""The list of all policies."""

from ordering_write.policies.base import Policy
from ordering_write.policies.money import (
    PayRefunds,
    RefundCancelled,
    RefundReturned,
    VoidAuthorizations,
)
from ordering_write.policies.notices import TellCustomers
from ordering_write.policies.orders import (
    CompleteDelivered,
    ConfirmPaid,
    ExpireUnpaid,
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
        RefundCancelled(),
        RefundReturned(),
        PayRefunds(),
        VoidAuthorizations(),
        BookParcels(),
        TrackParcels(),
        TellCustomers(),
    )
}
