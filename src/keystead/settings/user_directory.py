"""Where the users of keys are: in the store, or in an LDAP directory.

Chapter: Key Server (User Directory Settings); LDAP Server. Rows: KS-AUTH-008, 009; KS-LDAP-001 to 009.
"""

from dataclasses import dataclass

from keystead.core.permission import Access
from keystead.settings.section import Section, described, section

LOCAL, LDAP = "local", "ldap"
LDAPS, STARTTLS, PLAIN = "ldaps", "starttls", "plain"
SUBTREE, ONE_LEVEL = "subtree", "one_level"
USER_DN, USER_ID = "user_dn", "user_id"


@section
@dataclass(frozen=True, slots=True)
class UserDirectory(Section):
    """Whose users count, one of two for all key servers."""

    name, title, access = "user_directory", "User directory", Access.KEY_SERVER
    caution = (
        "Whoever is only in the other directory cannot use keys any more; what they own and were granted is kept. "
        "Whoever in this one has the same name, of a user or a group, has their keys and rights."
    )
    kind: str = described("Users and groups are kept here, or in an LDAP directory", LOCAL, choices=(LOCAL, LDAP))


@section
@dataclass(frozen=True, slots=True)
class Ldap(Section):
    """The LDAP directory: its servers, and how its users and groups are found. Who may search: `ldap.set_password`."""

    name, title, access = "ldap", "LDAP server", Access.USERS
    host: str = described("Name or IP address of the server", "")
    port: int = described("Port; 636 for ldaps, 389 otherwise", 636, minimum=1, maximum=65535)
    transport: str = described(
        "TLS from the start, TLS asked for, or in clear", LDAPS, choices=(LDAPS, STARTTLS, PLAIN)
    )
    trusted_ca: str = described("Name of the installed CA that has signed the servers' certificates", "")
    failover_host: str = described('Name or IP address of the server asked when the first is down; "" = none', "")
    failover_port: int = described("Port of that server", 636, minimum=1, maximum=65535)
    timeout_s: int = described("A server has failed after, seconds", 5, minimum=1, maximum=20)
    bind_dn: str = described('Distinguished name that searches are made as; "" = anonymously', "")
    user_base_dn: str = described("Where users are searched", "")
    user_id_attribute: str = described("Attribute with a user's name, which no two users share", "uid")
    user_object_class: str = described("Object class of users", "inetOrgPerson")
    user_filter: str = described('Filter that users match besides, such as (employeeType=staff); "" = none', "")
    group_base_dn: str = described('Where groups are searched; "" = there are none', "")
    group_id_attribute: str = described("Attribute with a group's name", "cn")
    group_filter: str = described("Filter that groups match", "(objectClass=groupOfNames)")
    member_attribute: str = described("Attribute with a group's members", "member")
    member_format: str = described(
        "Members are listed by distinguished name or by name", USER_DN, choices=(USER_DN, USER_ID)
    )
    scope: str = described("Everything below, or one level", SUBTREE, choices=(SUBTREE, ONE_LEVEL))
    remembered_s: int = described("Users and their groups are asked for anew after, s", 60, minimum=1, maximum=3600)
