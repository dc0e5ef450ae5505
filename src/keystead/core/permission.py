"""Rights of users on keys, access of administrators to areas, and who is who.

User rights and administrator rights are different fields and never mix (KS-GEN-012).

Source: requirements KS-KEY-004 to 006, 021 to 023; KS-AUTH-013; section C of the catalogue.
"""

from dataclasses import dataclass, field
from enum import IntFlag


class Right(IntFlag):
    """What a user may do with a key. Owners hold all; a group's grant is a mask of the grantable ones."""

    NONE = 0
    SEE = 1  # know that it exists, read attributes
    ENCRYPT = 2
    DECRYPT = 4
    SIGN = 8
    VERIFY = 16
    MAC = 32
    MAC_VERIFY = 64
    EXPORT = 128  # Get the key bytes
    MODIFY = 256  # attributes, dates, state; owner only
    DELETE = 512  # Destroy; owner only
    DERIVE = 1024
    CREATE = 2048  # make new objects: no target, a matter of the listener's switches


GRANTABLE = (
    Right.SEE
    | Right.ENCRYPT
    | Right.DECRYPT
    | Right.SIGN
    | Right.VERIFY
    | Right.MAC
    | Right.MAC_VERIFY
    | Right.EXPORT
    | Right.DERIVE
)
"""What a group, or another user, may be granted (KS-KEY-021, 022); changing and destroying stay with the owner."""

ALL = Right(4095)

PERSONAL = "user:"
"""Begins the name of a user among those that a key is granted to; no group's name has a colon."""


def personal(user: str) -> str:
    """Return under which name a key is granted to one user."""
    return PERSONAL + user


CONDITIONAL = "policy:"
"""Begins what a group was granted under an authorization policy; no name of a policy or a group has a colon."""


def conditional(policy: str, group: str) -> str:
    """Return under which name a key is granted to a group as far as a policy lets it."""
    return f"{CONDITIONAL}{policy}:{group}"


class Access(IntFlag):
    """Areas that an administrator may work in (section C of the catalogue; KS-ADM-020 to 043)."""

    NONE = 0
    HIGH_ACCESS = 1  # administrators, their rights and passwords, password settings, approvals
    KEYS = 2
    USERS = 4
    CERTIFICATES = 8
    AUTHORITIES = 16
    ADVANCED_SECURITY = 32
    KEY_SERVER = 64
    MODULE = 128
    SERVICES = 256
    ANY = 512  # what every administrator may; nobody has to be given it
    OWN = 1024  # the own account: all that is left to whoever has to set another password first
    TLS = 1 << 11
    CLUSTER = 1 << 12
    NETWORK = 1 << 13
    HIGH_AVAILABILITY = 1 << 14
    SNMP = 1 << 15
    LOGGING = 1 << 16
    BACKUP_CONFIGURATION = 1 << 17
    BACKUP_KEYS = 1 << 18
    BACKUP_AUTHORITIES = 1 << 19
    RESTORE_CONFIGURATION = 1 << 20
    RESTORE_KEYS = 1 << 21
    RESTORE_AUTHORITIES = 1 << 22
    UPGRADE = 1 << 23
    WEB = 1 << 24  # a way in
    SSH = 1 << 25  # a way in


EVERY_ACCESS = Access((1 << 26) - 1)
ACCESS_CONTROLS: dict[str, Access] = {
    "high_access": Access.HIGH_ACCESS,
    "keys_policies": Access.KEYS,
    "users_groups": Access.USERS,
    "certificates": Access.CERTIFICATES,
    "cas": Access.AUTHORITIES,
    "advanced_security": Access.ADVANCED_SECURITY,
    "tls": Access.TLS,
    "key_server": Access.KEY_SERVER,
    "cluster": Access.CLUSTER,
    "network_time": Access.NETWORK,
    "high_availability": Access.HIGH_AVAILABILITY,
    "snmp": Access.SNMP,
    "logging": Access.LOGGING,
    "hsm": Access.MODULE,
    "backup_config": Access.BACKUP_CONFIGURATION,
    "backup_keys_certs": Access.BACKUP_KEYS,
    "backup_cas": Access.BACKUP_AUTHORITIES,
    "restore_config": Access.RESTORE_CONFIGURATION,
    "restore_keys_certs": Access.RESTORE_KEYS,
    "restore_cas": Access.RESTORE_AUTHORITIES,
    "services": Access.SERVICES,
    "upgrade_health": Access.UPGRADE,
    "admin_web": Access.WEB,
    "admin_ssh": Access.SSH,
}
"""Access controls that an administrator is given or not, by their names."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever is asking.

    Attributes:
        kind: "user" (key user), "global" (client without a user), "administrator", "local" (root or the node's own
            account over the local socket), "stranger" (who has not proven anything yet), "clock".
        name: User or administrator name; "" for a global client.
        realm: Decided by the listener.
        groups: Of a user.
        access: Of an administrator.
        common_name: Of the client certificate, for the log.
        address: Peer address for the log, "-" for local ones.
        door: By which an administrator came from afar, "web" or "ssh"; "" for everybody else.
        past_states: Life-cycle states of keys do not bind the asker (KS-LIFE-008).
    """

    kind: str
    name: str
    realm: str = "root"
    groups: frozenset[str] = frozenset()
    access: Access = Access.NONE
    common_name: str = ""
    address: str = "-"
    door: str = ""
    past_states: bool = False

    @property
    def owner(self) -> str | None:
        """Who will own what this principal makes: the user, or nobody (global), KS-KMIP-048."""
        return self.name if self.kind == "user" else None


CLOCK = Principal("clock", "clock")


@dataclass(frozen=True, slots=True)
class Switches:
    """Server-wide switches that decide what users may do at all; all off as delivered (AMB-39, LEG-05, 06, 07).

    Attributes:
        key_configuration: Clients may create, register, change and destroy keys (KS-KMIP-007).
        key_export: Clients may Get key material (KS-KMIP-008).
        global_keys: Objects without an owner may be made and used (LEG-05).
        legacy_algorithms: LEG-06.
        legacy_modes: LEG-07.
        directory: Users are those of a directory, where capital and small letters of a name are one (KS-GEN-013).
        interop: KMIP's Interop operation; only under the mark of a `dev` store.
    """

    key_configuration: bool = False
    key_export: bool = False
    global_keys: bool = False
    legacy_algorithms: bool = False
    legacy_modes: bool = False
    interop: bool = False
    directory: bool = False
    extras: frozenset[str] = field(default_factory=frozenset)
