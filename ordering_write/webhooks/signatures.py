"""Signatures of messages, in the form that Stripe has made common.

The header holds the time of the try and the HMAC-SHA256 of time and body, in hexadecimal digits:
``t=1760000000,v1=5257a8…``. After a rotation it holds a ``v1`` for each secret that is still valid.
The time is signed too, so that a receiver can refuse a message that somebody recorded and sends
again later.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime

HEADER = "Webhook-Signature"

_PREFIX = "whsec_"


def new_secret() -> str:
    """Return a random secret of 256 bits, with a prefix by which scanners for secrets find it."""
    return f"{_PREFIX}{secrets.token_urlsafe(32)}"


def signature(body: bytes, *, secrets_in_use: Sequence[str], at: datetime) -> str:
    """Return the value of HEADER for a message ``body`` that is sent at ``at``."""
    seconds = int(at.timestamp())
    signed = f"{seconds}.".encode() + body
    digests = (
        hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets_in_use
    )
    return ",".join((f"t={seconds}", *(f"v1={digest}" for digest in digests)))
