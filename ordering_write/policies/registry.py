"""Which policies there are."""

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

# By their names, which stand in timers and events: a policy that is renamed is another one.
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
