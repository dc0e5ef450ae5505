"""Whether a key's state lets it be used now, for whoever asks.

Clients of the XML interface are not bound by life-cycle states, unless the server is set to (KS-LIFE-008). Of versions
they are: their states belong to that interface. What is destroyed has no bytes and is used by nobody.

Source: KMIP 1.4 section 3.22; requirement KS-LIFE-008; docs/adr/0094.
"""

from keystead.core.lifecycle import GONE, may_process, may_protect, state_at
from keystead.core.records import ManagedObject
from keystead.gate.call import Call


def protects(call: Call, record: ManagedObject) -> bool:
    """Tell whether the key may encrypt, sign, wrap or MAC at this moment."""
    return may_protect(record.dates, call.now_us) or is_unbound(call, record)


def processes(call: Call, record: ManagedObject) -> bool:
    """Tell whether the key may decrypt, verify or unwrap at this moment."""
    return may_process(record.dates, call.now_us) or is_unbound(call, record)


def is_unbound(call: Call, record: ManagedObject) -> bool:
    """Tell whether no state but the end binds the key for who asks."""
    if not call.principal.past_states or record.versioning is not None:
        return False
    return state_at(record.dates, call.now_us) not in GONE
