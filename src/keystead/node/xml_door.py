"""The XML interface of the `keys` process: a listener of its own on the same turn, gate and users as KMIP.

Source: requirements KS-NAE-001, 002; KS-AUTH-001 to 006.
"""

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from keystead.core.errors import Unauthenticated
from keystead.gate.admit import Admissions
from keystead.gate.call import Gate
from keystead.gate.objects import Objects
from keystead.node.opening import checks_source, idle_s, xml_policy
from keystead.protocols.connections import Deadlines, Peer
from keystead.protocols.listener import TlsListener, Turn
from keystead.protocols.xml.entrance import Entrance
from keystead.protocols.xml.session import Endpoint, Session
from keystead.settings.xml import NO_CERTIFICATE, Xml
from keystead.trust.x509 import ClientIdentity

Identify = Callable[[bytes, Sequence[bytes]], ClientIdentity]
NOBODY = ClientIdentity("", "", b"", 0, datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), frozenset())
"""Who has no certificate."""


@dataclass(frozen=True, slots=True)
class House:
    """What the door shares with KMIP's."""

    gate: Gate
    objects: Objects
    turn: Turn
    identify: Identify
    refused: Callable[[str, str], None]


class XmlDoor:
    """Offers the XML interface on one port.

    Args:
        section: The node's own settings.
        house: Of the process.
        context: For the first handshakes; see `renew`. None = plain TCP (KS-AUTH-001).
        connections_count_max: Of this door.

    Attributes:
        port: Once it listens.
        asks_certificate: The context in use asks for client certificates.
    """

    def __init__(self, section: Xml, house: House, context: ssl.SSLContext | None, connections_count_max: int) -> None:
        self._section = section
        self._house = house
        self._endpoint = Endpoint(house.gate)
        self.listener = TlsListener(context, house.turn, self._session, self._identity, house.refused)
        self.listener.count_max = connections_count_max
        self.admissions = Admissions(house.objects, self.listener.turn_away)
        self.port = 0
        self.asks_certificate = asks_certificate(house.objects)

    async def start(self, port: int | None) -> None:
        """Begin to listen, on the port of the settings unless there is another."""
        section = self._section
        idle = idle_s(self._house.objects)
        self.listener.deadlines = Deadlines(section.handshake_timeout_s, section.message_timeout_s, idle)
        self.port = await self.listener.listen(section.address, section.port if port is None else port)

    def renew(self, context: ssl.SSLContext | None) -> None:
        """Take another context for the handshakes to come."""
        self.listener.context = context
        self.asks_certificate = asks_certificate(self._house.objects)

    def changed(self, admissions: Admissions) -> None:
        """Take over what KMIP's door has heard of users, certificates and settings."""
        self.listener.forget_identities()
        self.listener.deadlines = replace(self.listener.deadlines, idle_s=idle_s(self._house.objects))
        self.admissions.trusted = admissions.trusted
        self.admissions.global_sessions = admissions.global_sessions
        self.admissions.directory = admissions.directory
        self.admissions.generation += 1

    def _session(self, peer: Peer) -> Session:
        identity = None if peer.identity is NOBODY else peer.identity
        objects = self._house.objects
        if identity is not None and checks_source(objects) and not identity.names_address(peer.address):
            raise Unauthenticated("the client certificate does not name the address that its client comes from")
        entrance = Entrance(self.admissions, lambda: xml_policy(objects), identity, peer.address)
        return Session(self._endpoint, entrance)

    def _identity(self, certificate: bytes, issuers: Sequence[bytes]) -> ClientIdentity:
        return self._house.identify(certificate, issuers) if certificate else NOBODY


def asks_certificate(objects: Objects) -> bool:
    """Tell whether clients of the XML interface have to bring a certificate."""
    return xml_policy(objects).client_certificate != NO_CERTIFICATE
