"""Asking an LDAP directory: who a user is, which groups they are in, and whether a password is theirs.

Blocking: runs on a thread of the `admin` process. The library is an extra, imported when it is first needed; the
system's own configuration of it is not read.

Laws: what a peer has said goes into a filter or a distinguished name escaped; a password is never sent in clear unless
that was chosen, and an empty one never; a directory that does not answer, or answers twice, proves nobody.

Source: requirements KS-LDAP-001 to 008, 014; RFC 4511, 4513 (section 5.1.2), 4514, 4515; attacks.md classes 25, 39.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

from keystead.appliance.ldap_transport import Failed, Server, descriptor_to
from keystead.core.directory_names import directory_name
from keystead.core.errors import Unavailable
from keystead.core.secret import Secret
from keystead.settings.user_directory import ONE_LEVEL, USER_DN, Ldap

GROUPS_PER_USER_COUNT_MAX = 1000
ENTRIES_COUNT_MAX = 10_000
PAGE_COUNT = 500
_NOT_THEIRS = (
    *("INVALID_CREDENTIALS", "INVALID_DN_SYNTAX", "NO_SUCH_OBJECT", "INAPPROPRIATE_AUTH"),
    *("UNWILLING_TO_PERFORM", "CONSTRAINT_VIOLATION", "INSUFFICIENT_ACCESS"),
)
"""Errors by which a directory says that a password is not the entry's, or that the entry may not be used."""
TOO_MANY_GROUPS = "the directory has the user in more groups than can be told"
TOO_MANY_ENTRIES = f"the directory has more than {ENTRIES_COUNT_MAX} entries there; narrow the filter"
NOT_INSTALLED = "the library for LDAP is not installed; install keystead with the extra `ldap`"


@dataclass(frozen=True, slots=True)
class Directory:
    """What is needed to ask.

    Attributes:
        settings: As they are now.
        password: Of `settings.bind_dn`; None = there is none.
        authority_pem: Of the CA that has signed the servers' certificates; "" = none.
    """

    settings: Ldap
    password: Secret | None = field(repr=False)
    authority_pem: str

    @property
    def servers(self) -> tuple[Server, ...]:
        """Those that there are, the primary first."""
        settings = self.settings
        places = (Server(settings.host, settings.port), Server(settings.failover_host, settings.failover_port))
        return tuple(place for place in places if place.host)


class Entry(NamedTuple):
    """A user or group of the directory: its name here ("" = one that is not used here), as there, and where it is."""

    name: str
    shown: str
    dn: str


class Search(NamedTuple):
    """What is searched where, and the attributes that are wanted of it."""

    place: str
    filter: str
    wants: tuple[str, ...]


class Person(NamedTuple):
    """A user with their groups, by the names used here."""

    entry: Entry
    groups: tuple[str, ...]


def is_installed() -> bool:
    """Tell whether directories can be asked on this node."""
    return find_spec("ldap") is not None


def library() -> Any:
    """Return the library.

    Raises:
        Unavailable: it is not installed.
    """
    os.environ.setdefault("LDAPNOINIT", "1")  # what the system's ldap.conf says is not for us
    try:
        ldap = import_module("ldap")  # an extra
        for name in ("controls", "dn", "filter"):
            import_module(f"ldap.{name}")
    except ImportError:
        raise Unavailable(NOT_INSTALLED, "unavailable.directory") from None
    return ldap


@contextmanager
def connected(directory: Directory, server: Server) -> Iterator[Any]:
    """Lend a connection that may search.

    Raises:
        Failed: the server is not there, is not who it should be, or does not let us in.
    """
    ldap = library()
    settings = directory.settings
    if settings.bind_dn and directory.password is None:
        raise Failed("no password is set for ldap.bind_dn")
    with _opened(ldap, directory, server) as connection:
        password = directory.password.reveal().decode() if directory.password is not None else ""
        connection.simple_bind_s(settings.bind_dn, password if settings.bind_dn else "")
        yield connection


def find(connection: Any, settings: Ldap, name: str) -> Person | None:
    """Return a user; None when the directory has none, or several, of this name.

    Raises:
        Failed: the server did not answer. Unavailable: they are in too many groups to tell what they may.
    """
    ldap = library()
    wanted = directory_name(name)
    if wanted is None:
        return None
    escaped = ldap.filter.escape_filter_chars
    text = f"{_users_filter(ldap, settings)[:-1]}({settings.user_id_attribute}={escaped(wanted)}))"
    search = Search(settings.user_base_dn, text, (settings.user_id_attribute,))
    with _failing(ldap):
        try:
            found = _searched(ldap, connection, settings, search, 2)
        except ldap.SIZELIMIT_EXCEEDED:
            return None
        entries = [_entry(dn, attributes, settings.user_id_attribute) for dn, attributes in found]
        if len(entries) != 1 or entries[0].name != wanted:
            return None
        try:
            return Person(entries[0], _groups_of(ldap, connection, settings, entries[0]))
        except ldap.SIZELIMIT_EXCEEDED:
            raise Unavailable(TOO_MANY_GROUPS, "unavailable.directory") from None


def proves(directory: Directory, server: Server, dn: str, password: Secret) -> bool:
    """Tell whether a password is that of an entry, by a connection of its own.

    Raises:
        Failed: the server did not answer.
    """
    ldap = library()
    try:
        text = password.reveal().decode()
    except UnicodeDecodeError:
        return False
    if not text or not dn:  # a bind without one is anonymous, and succeeds (RFC 4513 section 5.1.2)
        return False
    with _opened(ldap, directory, server) as connection:
        try:
            connection.simple_bind_s(dn, text)
        except tuple(getattr(ldap, name) for name in _NOT_THEIRS):
            return False
    return True


def nobodys_dn(settings: Ldap, name: str) -> str:
    """Return a distinguished name for whoever there is not, so that asking for them takes as long."""
    escaped: str = library().dn.escape_dn_chars(name)
    return f"{settings.user_id_attribute}={escaped},{settings.user_base_dn}"


def users(connection: Any, settings: Ldap) -> list[Entry]:
    """Return every user of the directory, by name. Raises Failed."""
    ldap = library()
    with _failing(ldap):
        search = Search(settings.user_base_dn, _users_filter(ldap, settings), (settings.user_id_attribute,))
        return _listed(ldap, connection, settings, search)


def groups(connection: Any, settings: Ldap) -> list[Entry]:
    """Return every group of the directory, by name; none where no place for them is set. Raises Failed."""
    ldap = library()
    if not settings.group_base_dn:
        return []
    with _failing(ldap):
        search = Search(settings.group_base_dn, settings.group_filter, (settings.group_id_attribute,))
        return _listed(ldap, connection, settings, search)


def members(connection: Any, settings: Ldap, group: str) -> list[str] | None:
    """Return the members of a group as it lists them, None when there is no such group. Raises Failed."""
    ldap = library()
    wanted = directory_name(group)
    if wanted is None or not settings.group_base_dn:
        return None
    text = f"(&{settings.group_filter}({settings.group_id_attribute}={ldap.filter.escape_filter_chars(wanted)}))"
    wants = (settings.group_id_attribute, settings.member_attribute)
    with _failing(ldap):
        found = _searched(ldap, connection, settings, Search(settings.group_base_dn, text, wants), 0)
    named = [attributes for dn, attributes in found if _entry(dn, attributes, wants[0]).name == wanted]
    return sorted(_texts(named[0], wants[1])) if len(found) == len(named) == 1 else None


@contextmanager
def _opened(ldap: Any, directory: Directory, server: Server) -> Iterator[Any]:
    """Lend a connection, over TLS where that is wanted, on which nobody has logged in."""
    settings = directory.settings
    descriptor = descriptor_to(server, settings.transport, directory.authority_pem, settings.timeout_s)
    with _failing(ldap):
        try:
            connection = ldap.initialize(f"ldap://{server.address}", fileno=descriptor)
        except ldap.LDAPError:
            os.close(descriptor)
            raise
        try:
            connection.set_option(ldap.OPT_PROTOCOL_VERSION, 3)
            connection.set_option(ldap.OPT_REFERRALS, ldap.OPT_OFF)  # nobody sends us, and passwords, elsewhere
            connection.set_option(ldap.OPT_DEREF, ldap.DEREF_NEVER)
            connection.set_option(ldap.OPT_NETWORK_TIMEOUT, float(settings.timeout_s))
            connection.set_option(ldap.OPT_TIMEOUT, float(settings.timeout_s))
            yield connection
        finally:
            _close(ldap, connection)


@contextmanager
def _failing(ldap: Any) -> Iterator[None]:
    """Turn the library's errors into ours, which hold the kind of error alone."""
    try:
        yield
    except ldap.LDAPError as error:
        raise Failed(_words(ldap, error)) from None


def _words(ldap: Any, error: Exception) -> str:
    told = {
        ldap.SERVER_DOWN: "it has closed the connection",
        ldap.TIMEOUT: "it did not answer in time",
        ldap.INVALID_CREDENTIALS: "it does not accept ldap.bind_dn with its password",
        ldap.NO_SUCH_OBJECT: "there is no such base DN",
        ldap.SIZELIMIT_EXCEEDED: "it has more entries than it shows; narrow the filter",
    }
    return told.get(type(error), f"it answered with the error {type(error).__name__}")


def _close(ldap: Any, connection: Any) -> None:
    try:
        connection.unbind_s()
    except (ldap.LDAPError, AttributeError):
        return


def _users_filter(ldap: Any, settings: Ldap) -> str:
    object_class = ldap.filter.escape_filter_chars(settings.user_object_class)
    return f"(&(objectClass={object_class}){settings.user_filter})"


def _groups_of(ldap: Any, connection: Any, settings: Ldap, user: Entry) -> tuple[str, ...]:
    if not settings.group_base_dn:
        return ()
    member = user.dn if settings.member_format == USER_DN else user.shown
    text = f"(&{settings.group_filter}({settings.member_attribute}={ldap.filter.escape_filter_chars(member)}))"
    search = Search(settings.group_base_dn, text, (settings.group_id_attribute,))
    found = _searched(ldap, connection, settings, search, GROUPS_PER_USER_COUNT_MAX)
    names = (_entry(dn, attributes, settings.group_id_attribute).name for dn, attributes in found)
    return tuple(sorted({name for name in names if name}))


def _searched(
    ldap: Any, connection: Any, settings: Ldap, search: Search, count_max: int
) -> list[tuple[str, dict[str, Any]]]:
    scope, timeout_s = _scope(ldap, settings), settings.timeout_s
    found = connection.search_ext_s(
        search.place, scope, search.filter, search.wants, timeout=timeout_s, sizelimit=count_max
    )
    return [(dn, attributes) for dn, attributes in found if dn is not None]  # without one: a referral


def _listed(ldap: Any, connection: Any, settings: Ldap, search: Search) -> list[Entry]:
    """Return all entries, page by page; an entry's name is in the first attribute."""
    scope, timeout_s = _scope(ldap, settings), settings.timeout_s
    control = ldap.controls.SimplePagedResultsControl(True, size=PAGE_COUNT, cookie="")
    found: list[Entry] = []
    while True:
        asked = connection.search_ext(search.place, scope, search.filter, search.wants, serverctrls=[control])
        _, entries, _, answered = connection.result3(asked, timeout=timeout_s)
        found += [_entry(dn, attributes, search.wants[0]) for dn, attributes in entries if dn is not None]
        if len(found) > ENTRIES_COUNT_MAX:
            raise Unavailable(TOO_MANY_ENTRIES, "unavailable.directory")
        pages = [one for one in answered if one.controlType == control.controlType]
        control.cookie = pages[0].cookie if pages else b""
        if not control.cookie:
            return sorted(found)


def _scope(ldap: Any, settings: Ldap) -> Any:
    return ldap.SCOPE_ONELEVEL if settings.scope == ONE_LEVEL else ldap.SCOPE_SUBTREE


def _entry(dn: str, attributes: dict[str, Any], attribute: str) -> Entry:
    """Return an entry; one with several names has none."""
    texts = _texts(attributes, attribute)
    name = directory_name(texts[0]) if len(texts) == 1 else None
    return Entry(name or "", ", ".join(texts), dn)


def _texts(attributes: dict[str, Any], attribute: str) -> list[str]:
    values = [each for name, found in attributes.items() if name.lower() == attribute.lower() for each in found]
    return [value.decode("utf-8", "replace") for value in values]
