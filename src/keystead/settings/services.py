"""Where the node's services listen.

Chapter: Key Server, Health Check, HSM, Statistics. Rows: KS-KMIP-003, 004; KS-HCK-002; KS-HSM-017; KS-PORT-001.
"""

from dataclasses import dataclass

from keystead.core.permission import Access
from keystead.settings.section import Section, described, section

MODULE_KINDS = ("software", "pkcs11")
SLOT_MAX = 0xFFFF_FFFF


@section
@dataclass(frozen=True, slots=True)
class Kmip(Section):
    """KMIP listener. TLS cannot be switched off (KS-KMIP-005), so there is no setting for it."""

    name, title, access, own = "kmip", "KMIP server", Access.KEY_SERVER, True
    address: str = described("Address to listen on; 0.0.0.0 = all", "0.0.0.0")  # noqa: S104  # KS-KMIP-003 [All]
    port: int = described("Port", 5696, minimum=0, maximum=65535)
    handshake_timeout_s: int = described("Close connections without a handshake after, s", 10, minimum=1, maximum=60)
    message_timeout_s: int = described("Close connections that stop in a message after, s", 30, minimum=1, maximum=300)


@section
@dataclass(frozen=True, slots=True)
class Health(Section):
    """Health check for load balancers; plain HTTP, off as delivered (KS-HCK-002)."""

    name, title, access, own = "health", "Health check", Access.KEY_SERVER, True
    enabled: bool = described("Answer health checks", False)
    address: str = described("Address to listen on", "127.0.0.1")
    port: int = described("Port", 9080, minimum=0, maximum=65535)


@section
@dataclass(frozen=True, slots=True)
class Metrics(Section):
    """What the node counts about itself, for monitoring; plain HTTP, always on 127.0.0.1, off as delivered."""

    name, title, access, own = "metrics", "Metrics", Access.SERVICES, True
    enabled: bool = described("Show metrics at /metrics", False)
    port: int = described("Port on 127.0.0.1", 9082, minimum=0, maximum=65535)


@section
@dataclass(frozen=True, slots=True)
class Module(Section):
    """The security module (KS-HSM-001, 017): which one it is, and for how long it stays activated."""

    name, title, access, own = "module", "Security module", Access.MODULE, True
    kind: str = described("Built in, or a PKCS#11 token", "software", choices=MODULE_KINDS)
    library: str = described("Absolute path of the PKCS#11 library", "")
    token_label: str = described("Label of the PKCS#11 token, at most 32 bytes", "")
    token_slot: int = described(
        "Slot of the blank token at first; -1 = the first one", -1, minimum=-1, maximum=SLOT_MAX
    )
    activation_window_s: int = described(
        "How long an activation outlasts a restart or `hsm deactivate`, s; 0 = not at all", 0, minimum=0, maximum=7200
    )


@section
@dataclass(frozen=True, slots=True)
class StoreSection(Section):
    """How the stores write."""

    name, title, access, own = "store", "Store", Access.SERVICES, True
    insecure_no_flush: bool = described("Do not flush commits to disk: loses acknowledged keys; tests only", False)
