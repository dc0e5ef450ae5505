"""IP authorization: from which addresses each service takes connections.

Laws: rights add up, no entry denies; whoever changes it from afar keeps their own way in. What is decided and the list
it is decided by are one record, so that changes made at the same time cannot shut both administrators out.

Source: requirements KS-IPA-001 to 005, KS-CLI-013; chapter IP authorization; docs/adr/0078.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, Any

from keystead.core.changes import Change, Put
from keystead.core.errors import Exists, NotFound, Refused, TooLarge
from keystead.core.fields import Number, Text
from keystead.core.ip_addresses import ADDRESSES_CHARACTERS_MAX, Addresses, span_of, text_of
from keystead.core.permission import Access
from keystead.core.records import KIND_SETTINGS, Record
from keystead.gate.call import Call
from keystead.gate.objects import Objects
from keystead.gate.operation import operation

IP_ENTRIES_COUNT_MAX = 256
ENTRY_NUMBER_MAX = 2**31 - 1
HANDLE = "ip_authorization"

Written = Annotated[str, Text(characters_max=ADDRESSES_CHARACTERS_MAX, characters_min=1, example="192.0.2.0/24")]
EntryNumber = Annotated[int, Number(1, ENTRY_NUMBER_MAX)]


class Service(StrEnum):
    """What is protected; the health check, metrics on the machine itself and the local socket never are."""

    KEY_SERVER = "key_server"
    WEB = "web"
    SSH = "ssh"


TITLES = {Service.KEY_SERVER: "the key server", Service.WEB: "web administration", Service.SSH: "SSH administration"}


class Connections(StrEnum):
    """From where a service takes connections."""

    ALL = "all"
    LISTED = "listed"


@dataclass(frozen=True, slots=True)
class ShowIpAuthorization:
    """Show from where each service takes connections: from everywhere, or from listed addresses only."""


@dataclass(frozen=True, slots=True)
class SetIpAuthorization:
    """Say from where services take connections; it holds at once, and closes connections that are not listed.

    Attributes:
        key_server: KMIP and XML; none = as it is.
        web: Console and REST; none = as it is.
        ssh: The command line over SSH; none = as it is.
    """

    key_server: Connections | None = None
    web: Connections | None = None
    ssh: Connections | None = None


@dataclass(frozen=True, slots=True)
class IpAuthorization:
    """From where each service takes connections.

    Attributes:
        key_server: KMIP and XML.
        web: Console and REST.
        ssh: The command line over SSH.
        entries_count: Entries in the list.
        caution: What whoever set it should know; "" = nothing.
    """

    key_server: Connections
    web: Connections
    ssh: Connections
    entries_count: int
    caution: str


@dataclass(frozen=True, slots=True)
class IpEntry:
    """Addresses, and which services they may reach.

    Attributes:
        number: Of the entry; never given again.
        addresses: One address, a range or a subnet.
        key_server: They may reach KMIP and XML.
        web: They may reach console and REST.
        ssh: They may reach the command line over SSH.
    """

    number: int
    addresses: str
    key_server: bool
    web: bool
    ssh: bool


@dataclass(frozen=True, slots=True)
class ListIpEntries:
    """List addresses that may connect where only listed ones do; what several entries allow adds up."""


@dataclass(frozen=True, slots=True)
class CreateIpEntry:
    """Let addresses connect to services that take connections from listed ones only.

    Attributes:
        addresses: One address, a range (192.0.2.10 - 192.0.2.20) or a subnet (192.0.2.0/24, 192.0.2.0/255.255.255.0).
        key_server: They may reach KMIP and XML.
        web: They may reach console and REST.
        ssh: They may reach the command line over SSH.
    """

    addresses: Written
    key_server: bool = False
    web: bool = False
    ssh: bool = False


@dataclass(frozen=True, slots=True)
class ChangeIpEntry:
    """Change an entry; what is left out stays as it is.

    Attributes:
        number: Of the entry.
        addresses: One address, a range (192.0.2.10 - 192.0.2.20) or a subnet (192.0.2.0/24, 192.0.2.0/255.255.255.0).
        key_server: They may reach KMIP and XML.
        web: They may reach console and REST.
        ssh: They may reach the command line over SSH.
    """

    number: EntryNumber
    addresses: Written | None = None
    key_server: bool | None = None
    web: bool | None = None
    ssh: bool | None = None


@dataclass(frozen=True, slots=True)
class DeleteIpEntry:
    """Delete an entry; connections from addresses that are listed nowhere else are closed."""

    number: EntryNumber


@dataclass(frozen=True, slots=True)
class Policy:
    """What is decided, as it is stored.

    Attributes:
        modes: Service -> from where.
        entries: By number.
        number: Of the latest entry ever made.
    """

    modes: Mapping[Service, Connections]
    entries: tuple[IpEntry, ...] = ()
    number: int = 0

    def listed(self, service: Service) -> Addresses | None:
        """Return whom a service takes connections from, None = everybody."""
        if self.modes[service] is Connections.ALL:
            return None
        return Addresses(span_of(entry.addresses) for entry in self.entries if getattr(entry, service))

    def entry(self, number: int) -> IpEntry:
        """Return one entry. Raises NotFound."""
        for entry in self.entries:
            if entry.number == number:
                return entry
        raise NotFound(f"there is no entry {number} in the list of IP authorization")

    def fields(self) -> dict[str, Any]:
        """Return what is stored of it."""
        rows = [[each.number, each.addresses, each.key_server, each.web, each.ssh] for each in self.entries]
        modes = {str(service): str(mode) for service, mode in self.modes.items()}
        return {"modes": modes, "entries": rows, "number": self.number}


def policy_of(objects: Objects) -> Policy:
    """Return what is decided now."""
    return _policy(objects.record(KIND_SETTINGS, HANDLE))


@operation(
    ShowIpAuthorization,
    "ip_authorization.show",
    "IpAuthorizationShow",
    administrator=Access.ANY,
    route="GET /ip-authorization",
)
def show_ip_authorization(call: Call, _request: ShowIpAuthorization) -> IpAuthorization:
    """Return what is decided."""
    return _shown(policy_of(call.desk.objects))


@operation(
    SetIpAuthorization,
    "ip_authorization.set",
    "IpAuthorizationSet",
    administrator=Access.NETWORK,
    route="PATCH /ip-authorization",
    answer=IpAuthorization,
)
def set_ip_authorization(call: Call, request: SetIpAuthorization) -> Change:
    """Store it; both processes of the node hear of it at once."""
    policy = policy_of(call.desk.objects)
    told = {Service.KEY_SERVER: request.key_server, Service.WEB: request.web, Service.SSH: request.ssh}
    changed = {service: mode for service, mode in told.items() if mode is not None}
    words = ", ".join(f"{TITLES[service]} from {mode} addresses" for service, mode in changed.items())
    after = replace(policy, modes={**policy.modes, **changed})
    return _stored(call, after, _shown(after), f"IP authorization: {words or 'nothing changed'}")


@operation(ListIpEntries, "ip_entry.list", "IpEntryList", administrator=Access.ANY)
def list_ip_entries(call: Call, _request: ListIpEntries) -> tuple[IpEntry, ...]:
    """Return all entries by number."""
    return policy_of(call.desk.objects).entries


@operation(
    CreateIpEntry,
    "ip_entry.create",
    "IpEntryCreate",
    administrator=Access.NETWORK,
    route="POST /ip-entries",
    answer=IpEntry,
)
def create_ip_entry(call: Call, request: CreateIpEntry) -> Change:
    """Add the entry."""
    policy = policy_of(call.desk.objects)
    if len(policy.entries) >= IP_ENTRIES_COUNT_MAX:
        raise TooLarge(f"there can be {IP_ENTRIES_COUNT_MAX} entries; join some as ranges or subnets")
    addresses = _checked(policy.entries, request.addresses)
    entry = IpEntry(policy.number + 1, addresses, request.key_server, request.web, request.ssh)
    after = replace(policy, entries=(*policy.entries, entry), number=entry.number)
    return _stored(call, after, entry, f"IP authorization: entry {_words(entry)} added")


@operation(
    ChangeIpEntry,
    "ip_entry.change",
    "IpEntryChange",
    administrator=Access.NETWORK,
    route="PATCH /ip-entries/{number}",
    answer=IpEntry,
)
def change_ip_entry(call: Call, request: ChangeIpEntry) -> Change:
    """Change the entry."""
    policy = policy_of(call.desk.objects)
    before = policy.entry(request.number)
    others = [entry for entry in policy.entries if entry is not before]
    told = {"key_server": request.key_server, "web": request.web, "ssh": request.ssh}
    changed: dict[str, Any] = {name: tick for name, tick in told.items() if tick is not None}
    if request.addresses is not None:
        changed["addresses"] = _checked(others, request.addresses)
    entry = replace(before, **changed)
    after = replace(policy, entries=tuple(entry if each is before else each for each in policy.entries))
    return _stored(call, after, entry, f"IP authorization: entry {_words(before)} is now {_words(entry)}")


@operation(
    DeleteIpEntry,
    "ip_entry.delete",
    "IpEntryDelete",
    administrator=Access.NETWORK,
    route="DELETE /ip-entries/{number}",
    answer=IpEntry,
)
def delete_ip_entry(call: Call, request: DeleteIpEntry) -> Change:
    """Delete the entry."""
    policy = policy_of(call.desk.objects)
    entry = policy.entry(request.number)
    after = replace(policy, entries=tuple(each for each in policy.entries if each is not entry))
    return _stored(call, after, entry, f"IP authorization: entry {_words(entry)} deleted")


def _policy(record: Record | None) -> Policy:
    fields: Mapping[str, Any] = {} if record is None else record.fields
    stored = fields.get("modes", {})
    modes = {service: Connections(stored.get(service, Connections.ALL)) for service in Service}
    return Policy(modes, tuple(IpEntry(*row) for row in fields.get("entries", ())), fields.get("number", 0))


def _stored(call: Call, after: Policy, result: Any, detail: str) -> Change:
    """Return the change that stores a policy, unless it shuts its asker out.

    Raises:
        Refused: the asker's own address could not reach the service that it asks through (KS-IPA-005).
    """
    principal = call.principal
    if principal.door in tuple(Service):
        service = Service(principal.door)
        listed = after.listed(service)
        if listed is not None and not listed.holds(principal.address):
            raise Refused(
                f"your own address {principal.address} could not reach {TITLES[service]} any more; "
                f"list it first, with a tick for {TITLES[service]}",
                "refused.feature",
            )
    record = call.desk.objects.record(KIND_SETTINGS, HANDLE)
    if record is None:
        record = Record(KIND_SETTINGS, f"settings.{HANDLE}", HANDLE, {})
    return Change((Put(record._replace(fields=after.fields())),), result, detail=detail)


def _checked(others: Iterable[IpEntry], written: str) -> str:
    """Return addresses in their one form. Raises Invalid, Exists."""
    addresses = text_of(span_of(written))
    for entry in others:
        if entry.addresses == addresses:
            raise Exists(f"entry {entry.number} is about {addresses} already; change that one")
    return addresses


def _shown(policy: Policy) -> IpAuthorization:
    nobodys = [TITLES[service] for service in Service if (listed := policy.listed(service)) is not None and not listed]
    caution = f"No address can reach {' or '.join(nobodys)}: no entry has a tick for it." if nobodys else ""
    modes = policy.modes
    return IpAuthorization(
        modes[Service.KEY_SERVER], modes[Service.WEB], modes[Service.SSH], len(policy.entries), caution
    )


def _words(entry: IpEntry) -> str:
    ticks = [str(service) for service in Service if getattr(entry, service)]
    return f"{entry.number} ({entry.addresses} for {', '.join(ticks) or 'nothing'})"
