"""An XML server without sockets, on the loopback node of KMIP's tests: sessions that hostile bytes go to."""

from collections.abc import Sequence

from keystead.core.permission import Principal
from keystead.gate.admit import Admissions
from keystead.protocols.xml.entrance import Entrance
from keystead.protocols.xml.session import Endpoint, Session
from keystead.protocols.xml.wire.framing import Framer
from keystead.settings.xml import NO_CERTIFICATE, OPTIONAL, XmlServer
from tests.support.kmip_loopback import Loopback
from tests.support.xml.client import Answer, answers, data_follows

OPEN = XmlServer(password_authentication=OPTIONAL, client_certificate=NO_CERTIFICATE)


class Known(Entrance):
    """An entrance through which one user has come already; the modes have tests of their own."""

    def __init__(self, loopback: Loopback, principal: Principal) -> None:
        super().__init__(Admissions(loopback.objects, lambda *_: None), lambda: OPEN, None, "192.0.2.9")
        self._principal = principal

    def admit(self) -> Principal:
        return self._principal


class Connection:
    """One session; what it sends is gathered."""

    def __init__(self, loopback: Loopback, principal: Principal | None) -> None:
        self._loopback = loopback
        stranger = Entrance(Admissions(loopback.objects, lambda *_: None), lambda: OPEN, None, "192.0.2.9")
        entrance = stranger if principal is None else Known(loopback, principal)
        self.session = Session(Endpoint(loopback.gate), entrance)
        self.is_closed = False
        self._framer = Framer(data_follows)

    def send(self, parts: Sequence[bytes]) -> list[Answer]:
        """Bytes in, answers out; the connection's own rules are kept as connections.py keeps them."""
        said: list[Answer] = []
        for part in parts:
            queue = [] if self.is_closed else self.session.messages(part)
            while queue:
                sent: list[tuple[bytes, bool]] = []

                def send(data: bytes, *, last: bool = False, to: list[tuple[bytes, bool]] = sent) -> None:
                    to.append((data, last))

                self._loopback.objects.refresh()
                self.session.handle(queue.pop(0), send)
                ((data, last),) = sent
                said += answers(self._framer, data)
                if last:
                    queue.clear()
            if self.session.failure is not None and not self.is_closed:
                said += answers(self._framer, self.session.refuse(self.session.failure))
                self.is_closed = True
        assert self._framer.failure is None
        assert self._framer.pending_bytes == 0
        return said
