"""The LDAP directory: who may search it, whether its servers answer, whom it has; nothing in it is changed.

Everything runs in the `admin` process, whose threads wait for the directory; the `keys` process asks here who a user is
and whether a password is theirs (docs/adr/0090).

Source: requirements KS-AUTH-008, 009; KS-LDAP-001 to 011, 013, 014; attacks.md classes 9, 25, 28, 39.
"""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from typing import Annotated, Any, Protocol

from keystead.appliance.ldap_client import (
    NOT_INSTALLED,
    Directory,
    Entry,
    find,
    groups,
    is_installed,
    members,
    nobodys_dn,
    proves,
    users,
)
from keystead.appliance.ldap_servers import Servers
from keystead.appliance.ldap_transport import Server
from keystead.core.approvals import Approval
from keystead.core.changes import Change, Put
from keystead.core.errors import Invalid, NotFound, Refused, Unavailable
from keystead.core.fields import Text
from keystead.core.passwords import CHARACTERS_MAX
from keystead.core.permission import Access
from keystead.core.records import KIND_AUTHORITY, KIND_SETTINGS, Record
from keystead.core.secret import Secret
from keystead.gate.call import Call
from keystead.gate.directory import DirectoryWork
from keystead.gate.operation import operation
from keystead.operations.settings import section_check
from keystead.settings.user_directory import LDAP, PLAIN, Ldap, UserDirectory

DIRECTORY = "directory"
"""Service of the gate, in the `admin` process: a `Service`."""
PASSWORD_HANDLE = "ldap.password"  # noqa: S105  # where it is kept
LISTED_COUNT_MAX = 1000
SETTING_CHARACTERS_MAX = 1024
IN_CLEAR = "The directory is asked in clear: whoever can read or change what crosses the network has the passwords."
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}|[0-9A-Fa-f:.]{2,45}")
_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")


class Service(Protocol):
    """What the `admin` process offers.

    Attributes:
        servers: Of the directory.
    """

    servers: Servers

    def seal(self, secret: Secret) -> bytes:
        """Seal the password that searches are made with, under the node's key."""

    def unseal(self, sealed: bytes) -> Secret:
        """Open it. Raises Tampered."""


@dataclass(frozen=True, slots=True)
class TestDirectory:
    """Ask every server of the directory for a user, and tell how it fared; the settings need not be in use yet."""


@dataclass(frozen=True, slots=True)
class ServerTested:
    """How a server fared; `problem` says what is wrong with it, "" = nothing."""

    server: str
    ok: bool
    problem: str


@dataclass(frozen=True, slots=True)
class SetDirectoryPassword:
    """Set the password of `ldap.bind_dn`; null takes it away."""

    password: Annotated[Secret, Text(characters_max=CHARACTERS_MAX, example="Violet-Kettle-93-Harbour")] | None


@dataclass(frozen=True, slots=True)
class ListDirectoryUsers:
    """List the users of the directory by name, at most 1000 after `after`; those without a name here come first."""

    after: str = ""


@dataclass(frozen=True, slots=True)
class ListDirectoryGroups:
    """List the groups of the directory by name, at most 1000 after `after`; those without a name here come first."""

    after: str = ""


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    """A user or group of the directory; `name` is what it is called here, "" = it cannot be used here."""

    name: str
    shown: str
    distinguished_name: str


@dataclass(frozen=True, slots=True)
class ShowDirectoryGroup:
    """Show the members of a group of the directory, as it lists them."""

    name: Annotated[str, Text(characters_max=64, characters_min=1, example="staff")]


@dataclass(frozen=True, slots=True)
class DirectoryGroup:
    """A group with its members."""

    name: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FindDirectoryUser:
    """Find a user; for the `keys` process."""

    name: str


@dataclass(frozen=True, slots=True)
class ProveDirectoryUser:
    """Judge a user's password; for the `keys` process. An empty one is nobody's."""

    name: str
    password: Secret


@dataclass(frozen=True, slots=True)
class FoundUser:
    """What the directory says of a user."""

    found: bool
    groups: tuple[str, ...] = ()
    right: bool = False


@operation(
    TestDirectory,
    "directory.test",
    "LdapTest",
    administrator=Access.USERS,
    route="GET /directory/servers",
    answer=tuple[ServerTested, ...],
)
def ask_servers(call: Call, _request: TestDirectory) -> tuple[ServerTested, ...]:
    """Test the primary and the one that takes over for it."""
    directory, servers = _directory(call), _service(call).servers
    if not directory.servers:
        raise Invalid("set ldap.host first", "invalid.missing")

    def searched(connection: Any, _server: Server) -> None:
        find(connection, directory.settings, "a")

    told = call.made(DirectoryWork(lambda: servers.test(directory, searched)))
    return tuple(ServerTested(*each) for each in told)


@operation(
    SetDirectoryPassword,
    "directory.set_password",
    "LdapSetPassword",
    administrator=Access.USERS,
    route="PUT /directory/password",
    approval=Approval.LDAP,
)
def set_directory_password(call: Call, request: SetDirectoryPassword) -> Change:
    """Keep the password, sealed; it counts from the next question on."""
    password = request.password
    if password is not None and not _is_text(password):
        raise Invalid("a password is text in UTF-8, not empty, of at most 256 characters")
    sealed = None if password is None else _service(call).seal(password)
    held = call.desk.objects.record(KIND_SETTINGS, PASSWORD_HANDLE)
    record = held or Record(KIND_SETTINGS, PASSWORD_HANDLE, PASSWORD_HANDLE, {})
    word = "taken away" if password is None else "set"
    return Change((Put(record._replace(fields={"sealed": sealed})),), None, detail=f"password of ldap.bind_dn {word}")


@operation(ListDirectoryUsers, "directory_user.list", "LdapUserList", administrator=Access.ANY)
def list_directory_users(call: Call, request: ListDirectoryUsers) -> tuple[DirectoryEntry, ...]:
    """Return users by name."""
    return _page(_asked(call, users), request.after)


@operation(ListDirectoryGroups, "directory_group.list", "LdapGroupList", administrator=Access.ANY)
def list_directory_groups(call: Call, request: ListDirectoryGroups) -> tuple[DirectoryEntry, ...]:
    """Return groups by name."""
    return _page(_asked(call, groups), request.after)


@operation(
    ShowDirectoryGroup,
    "directory_group.show",
    "LdapGroupShow",
    administrator=Access.ANY,
    route="GET /directory-groups/{name}",
)
def show_directory_group(call: Call, request: ShowDirectoryGroup) -> DirectoryGroup:
    """Return the members."""
    found = _asked(call, partial(members, group=request.name))
    if found is None:
        raise NotFound("the directory has no such group")
    return DirectoryGroup(request.name.lower(), tuple(found))


@operation(FindDirectoryUser, "directory.find", "LdapFind", administrator=Access.USERS, route=None)
def find_directory_user(call: Call, request: FindDirectoryUser) -> FoundUser:
    """Return whether there is the user, and their groups."""
    _check_own(call)
    person = _asked(call, partial(find, name=request.name))
    return FoundUser(found=False) if person is None else FoundUser(found=True, groups=person.groups)


@operation(ProveDirectoryUser, "directory.prove", "LdapProve", administrator=Access.USERS, route=None)
def prove_directory_user(call: Call, request: ProveDirectoryUser) -> FoundUser:
    """Return whether the password is the user's; who does not exist takes as long as who does."""
    _check_own(call)
    directory, servers = _active(call), _service(call).servers
    found: FoundUser = call.made(DirectoryWork(partial(_proven, servers, directory, request)))
    return found


@section_check(UserDirectory)
def check_user_directory(call: Call, _before: UserDirectory, after: UserDirectory) -> str:
    """Check that the directory can be asked before it is put in the place of local users."""
    return _check_complete(call.desk.objects.section(Ldap)) if after.kind == LDAP else ""


@section_check(Ldap)
def check_ldap(call: Call, _before: Ldap, after: Ldap) -> str:
    """Check texts; all that is needed has to stay while the directory is in use."""
    long = [one.name for one in fields(after) if len(str(getattr(after, one.name))) > SETTING_CHARACTERS_MAX]
    if long:
        raise Invalid(f"{long[0]} has at most {SETTING_CHARACTERS_MAX} characters", "invalid.field")
    for host in (after.host, after.failover_host):
        _check_host(host)
    for name in ("user_id_attribute", "user_object_class", "group_id_attribute", "member_attribute"):
        if _ATTRIBUTE.fullmatch(getattr(after, name)) is None:
            raise Invalid(f"{name} is a name of letters, digits and hyphens", "invalid.field")
    for name in ("user_filter", "group_filter"):
        if getattr(after, name) and not _is_filter(getattr(after, name)):
            raise Invalid(f"{name} is one filter in parentheses, such as (objectClass=group)", "invalid.field")
    if not after.group_filter:
        raise Invalid("group_filter is one filter in parentheses, such as (objectClass=group)", "invalid.field")
    if call.desk.objects.section(UserDirectory).kind == LDAP:
        _check_complete(after)
    return IN_CLEAR if after.transport == PLAIN else ""


def _check_complete(section: Ldap) -> str:
    if not is_installed():
        raise Refused(NOT_INSTALLED, "refused.feature")
    wanted = {"host": section.host, "user_base_dn": section.user_base_dn}
    if section.transport != PLAIN:
        wanted["trusted_ca"] = section.trusted_ca
    missing = [f"ldap.{name}" for name, value in wanted.items() if not value]
    if missing:
        raise Refused(f"set {' and '.join(missing)} first, and see that `directory.test` succeeds", "refused.feature")
    return IN_CLEAR if section.transport == PLAIN else ""


def _check_host(host: str) -> None:
    if host and _HOST.fullmatch(host) is None:
        raise Invalid("a host is a name or an IP address, without a port", "invalid.field")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        raise Invalid("no directory is at such an address", "invalid.field")


def _is_filter(text: str) -> bool:
    """Tell whether a text is exactly one pair of parentheses with what it holds."""
    depth = 0
    for place, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth <= 0 and place < len(text) - 1:
            return False
    return depth == 0 and text.startswith("(") and text.isprintable()


def _is_text(password: Secret) -> bool:
    try:
        return 0 < len(password.reveal().decode()) <= CHARACTERS_MAX
    except UnicodeDecodeError:
        return False


def _check_own(call: Call) -> None:
    """Let pass the node itself alone: for everybody else this would be a way to try passwords."""
    if call.principal.kind != "local":
        raise Refused("only the node itself asks this", "refused.permission")


def _service(call: Call) -> Service:
    service: Service | None = call.desk.services.get(DIRECTORY)
    if service is None:
        raise Unavailable("the directory is asked by another process of the node", "unavailable.directory")
    return service


def _directory(call: Call) -> Directory:
    """Return what is needed to ask the directory, whether or not it is in use."""
    objects, service = call.desk.objects, _service(call)
    section = objects.section(Ldap)
    held = objects.record(KIND_SETTINGS, PASSWORD_HANDLE)
    sealed = None if held is None else held.fields["sealed"]
    password = None if sealed is None else service.unseal(bytes(sealed))
    authority = objects.record(KIND_AUTHORITY, section.trusted_ca) if section.trusted_ca else None
    pem = "" if authority is None else str(authority.fields["certificate"])
    return Directory(section, password, pem)


def _active(call: Call) -> Directory:
    """Return what is needed to ask the directory that is in use."""
    if not call.switches.directory:
        raise Refused(
            "users are kept here, not in a directory; set user_directory.kind to ldap for that", "refused.switched_off"
        )
    return _directory(call)


def _asked(call: Call, question: Callable[[Any, Ldap], Any]) -> Any:
    """Return the answer to a question, asked on another thread."""
    directory, servers = _active(call), _service(call).servers
    return call.made(
        DirectoryWork(
            lambda: servers.run(directory, lambda connection, _server: question(connection, directory.settings))
        )
    )


def _page(entries: list[Entry], after: str) -> tuple[DirectoryEntry, ...]:
    """Return the next entries by the name that they are listed under."""
    following = [entry for entry in entries if entry.name > after or not after]
    return tuple(DirectoryEntry(*entry) for entry in following[:LISTED_COUNT_MAX])


def _proven(servers: Servers, directory: Directory, request: ProveDirectoryUser) -> FoundUser:
    """Judge a password; on another thread."""

    def judged(connection: Any, server: Server) -> FoundUser:
        person = find(connection, directory.settings, request.name)
        has_one = bool(request.password.reveal())
        if person is None or not has_one:
            proves(directory, server, nobodys_dn(directory.settings, request.name), Secret(b"-"))
            return FoundUser(found=person is not None)
        is_right = proves(directory, server, person.entry.dn, request.password)
        return FoundUser(found=True, groups=person.groups if is_right else (), right=is_right)

    return servers.run(directory, judged)
