"""The web door: where the REST interface (and what people see in a browser) listens, and how long a login lasts.

Chapter: Management console. Rows: KS-UI-001, 025.
"""

from dataclasses import dataclass

from keystead.core.permission import Access
from keystead.settings.section import Section, described, section


@section
@dataclass(frozen=True, slots=True)
class Web(Section):
    """HTTPS for administrators, off as delivered until there is an administrator who can log in."""

    name, title, access, own = "web", "Web administration", Access.HIGH_ACCESS, True
    enabled: bool = described("Offer REST to administrators", False)
    address: str = described("Address to listen on; 0.0.0.0 = all", "0.0.0.0")  # noqa: S104  # KS-UI-001
    port: int = described("Port", 9443, minimum=0, maximum=65535)


@section
@dataclass(frozen=True, slots=True)
class Sessions(Section):
    """Logins of administrators at the remote doors."""

    name, title, access = "sessions", "Sessions of administrators", Access.HIGH_ACCESS
    idle_minutes: int = described("Log out whoever does nothing for, minutes", 15, minimum=1, maximum=720)
