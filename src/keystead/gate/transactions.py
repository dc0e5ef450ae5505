"""What a batch wants written, as one transaction.

Source: design.md section 6 ("transaction").
"""

from collections.abc import Sequence

from keystead.core.changes import Change, Transaction
from keystead.core.permission import Principal
from keystead.gate.identifiers import new_request_id


def transaction_of(
    principal: Principal,
    now_us: int,
    steps: tuple[tuple[str, Change], ...],
    refusals: Sequence[tuple[str, str, str]],
) -> Transaction:
    """Return what is to be stored, all of it or nothing.

    Args:
        principal: Who asked.
        now_us: Moment of the batch.
        steps: Changes, each with the operation that made it.
        refusals: Operation, target and reason of each that is written.
    """
    who = f"{principal.kind}:{principal.name}"
    return Transaction(new_request_id(), who, principal.address, now_us, steps, tuple(refusals))
