"""Check: may the asker use an object in a way, before it is used.

Source: KMIP 1.4 sections 4.10, 11.11; KMIP 2.1 section 6.1.6.
"""

from dataclasses import dataclass

from keystead.core.attribute_table import ObjectType
from keystead.core.attribute_views import LEASE_TIME_S
from keystead.core.errors import Invalid, Refused
from keystead.core.permission import Right
from keystead.core.structures import TAG_USAGE_LIMITS_COUNT
from keystead.gate.call import Call
from keystead.gate.operation import PLACEHOLDER, Target, operation
from keystead.operations.ciphers import LIMITS


@dataclass(frozen=True, slots=True)
class Check:
    """Ask whether an object may be used so; None = not asked.

    Attributes:
        usage_mask: Every use in it must be permitted.
        limits_count: So many units must be left of its usage limits.
        lease_s: A lease as long must be granted.
    """

    target: str = PLACEHOLDER
    usage_mask: int | None = None
    limits_count: int | None = None
    lease_s: int | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """It may be used so."""

    id: str


@operation(
    Check,
    "key.check",
    "Check",
    user=Right.SEE,
    targets=(Target(Right.SEE),),
    places=lambda result: result.id,
)
def check(call: Call, request: Check) -> Checked:
    """Refuse what the object does not allow; a refusal empties the ID Placeholder, so that nothing after it runs."""
    record = call.target
    if record.object_type == ObjectType.TEMPLATE:
        raise Invalid("a template is not used", "invalid.object_type")
    if request.usage_mask is not None and request.usage_mask & ~record.shape.usage_mask:
        raise Refused("the usage mask does not allow all of these uses", "refused.usage_mask")
    limits = record.attributes.first(LIMITS)
    if request.limits_count is not None and limits is not None:
        left: int = limits.field(TAG_USAGE_LIMITS_COUNT)
        if request.limits_count > left:
            raise Refused("the usage limits do not leave as much", "refused.usage_limit")
    if request.lease_s is not None and request.lease_s > LEASE_TIME_S:
        raise Refused(f"a lease has at most {LEASE_TIME_S} seconds", "refused.permission")
    return Checked(record.id)
