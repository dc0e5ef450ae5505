"""The XML interface: where a node offers it, and how its clients prove who they are.

Chapter: Key Server. Rows: KS-NAE-001, 002; KS-AUTH-001 to 007. Trust profile, source address, name field, idle time
and what clients may do at all are key_server's, as for KMIP.
"""

from dataclasses import dataclass

from keystead.core.permission import Access
from keystead.settings.section import Section, described, section

REQUIRED, OPTIONAL = "required", "optional"
CLEARTEXT = "the XML interface is offered without TLS: passwords and keys cross the network in clear"
NO_CERTIFICATE, TLS_CERTIFICATE, NAMED_CERTIFICATE = "none", "tls", "username"


@section
@dataclass(frozen=True, slots=True)
class Xml(Section):
    """XML listener, off as delivered; without TLS no client can bring a certificate."""

    name, title, access, own = "xml", "XML server", Access.KEY_SERVER, True
    caution = "Without TLS, passwords and keys cross the network for everybody to read and to change."
    enabled: bool = described("Offer the XML interface", False)
    address: str = described("Address to listen on; 0.0.0.0 = all", "0.0.0.0")  # noqa: S104  # as KMIP
    port: int = described("Port", 9000, minimum=0, maximum=65535)
    use_tls: bool = described("TLS; false = plain TCP, for a network that nobody else can reach", True)
    handshake_timeout_s: int = described("Close connections without a handshake after, s", 10, minimum=1, maximum=60)
    message_timeout_s: int = described("Close connections that stop in a request after, s", 30, minimum=1, maximum=300)


@section
@dataclass(frozen=True, slots=True)
class XmlServer(Section):
    """Who may speak XML; as delivered a client needs a certificate and the password of the user it names."""

    name, title, access = "xml_server", "XML authentication", Access.KEY_SERVER
    caution = "This holds at once for every node on this store, and for all clients that are connected."
    password_authentication: str = described("Name and password", REQUIRED, choices=(REQUIRED, OPTIONAL))
    client_certificate: str = described(
        "Not asked for, for TLS only, or names the user",
        NAMED_CERTIFICATE,
        choices=(NO_CERTIFICATE, TLS_CERTIFICATE, NAMED_CERTIFICATE),
    )
    life_cycle_states: bool = described("Life-cycle states of keys bind clients of the XML interface", False)
