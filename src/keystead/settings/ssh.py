"""The SSH door: where the command line for administrators listens; how long a login lasts is said by `sessions`.

Chapter: Remote administration. Rows: KS-RAS-003, 004; KS-CLI-001.
"""

from dataclasses import dataclass

from keystead.core.permission import Access
from keystead.settings.section import Section, described, section


@section
@dataclass(frozen=True, slots=True)
class Ssh(Section):
    """The command line for administrators, off as delivered until there is an administrator who can log in."""

    name, title, access, own = "ssh", "SSH administration", Access.HIGH_ACCESS, True
    enabled: bool = described("Offer the command line to administrators", False)
    address: str = described("Address to listen on; 0.0.0.0 = all", "0.0.0.0")  # noqa: S104  # KS-RAS-003
    port: int = described("Port", 9022, minimum=0, maximum=65535)  # KS-RAS-004: 22 needs root
