"""Key server: what clients may do, idle time, where the user's name stands in a certificate.

Chapter: Key Server. Rows: KS-KMIP-003, 004, 006 to 011, 013 to 016; KS-AUTH-002; LEG-05 to 07.
"""

from dataclasses import dataclass

from keystead.core.permission import Access
from keystead.settings.section import Section, described, section

TLS_ONLY = "none"
DEFAULT_PROFILE = "default"
PARTITION_PROFILE = "partition_ca_profile"  # KS-KMIP-014
USERNAME_FIELDS = ("UID", "CN", "SN", "E", "E_ND", "OU", TLS_ONLY)  # KS-KMIP-010, 011


@section
@dataclass(frozen=True, slots=True)
class KeyServer(Section):
    """Switches of the key-serving protocols; permissive ones are off as delivered (AMB-39)."""

    name, title, access = "key_server", "Key server", Access.KEY_SERVER
    caution = "This holds at once for every node on this store, and for all clients that are connected."
    allow_key_configuration: bool = described("Clients may create, register, change and destroy keys", False)
    allow_key_export: bool = described("Clients may fetch key material", False)
    allow_global_keys: bool = described("Keys without an owner may be made and used", False)
    destroy_purges_metadata: bool = described("Destroying a key removes its metadata too (AMB-04)", False)
    connection_timeout_s: int = described("Close idle connections after, seconds", 3600, minimum=1, maximum=3600)
    username_field: str = described("Field of the certificate that names the user", "CN", choices=USERNAME_FIELDS)
    allow_global_sessions: bool = described("Clients without a user may connect, to keys without an owner", False)
    trusted_ca_profile: str = described("Trust profile: CAs that may have signed client certificates", DEFAULT_PROFILE)
    serves_partitions: bool = described(f"Serves partitions of external modules: uses {PARTITION_PROFILE}", False)
    check_source_ip: bool = described("Certificates must name the address that the client connects from", False)


@section
@dataclass(frozen=True, slots=True)
class Legacy(Section):
    """Outdated algorithms and modes, each behind its switch (LEG-06, LEG-07)."""

    name, title, access = "legacy", "Legacy", Access.ADVANCED_SECURITY
    algorithms: bool = described("Outdated algorithms (DES, 3DES, RC4, HMAC-SHA1, short RSA)", False)
    modes: bool = described("Outdated modes (ECB, PKCS#1 v1.5 encryption)", False)
