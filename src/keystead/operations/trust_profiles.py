"""Trust profiles: named lists of CAs, of which the key server uses one to decide whose certificates clients may bring.

Two profiles are always there. `default` holds the local CA until it is changed, `partition_ca_profile` nobody until
somebody is put into it; every other profile begins empty. With an empty profile no client can connect.

Source: requirements KS-KMIP-013, 014; KS-CAU-012 to 014.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from keystead.core.changes import Change, Put
from keystead.core.errors import Exists, NotFound, Refused
from keystead.core.fields import Text
from keystead.core.permission import Access
from keystead.core.records import KIND_TRUST_PROFILE, Record
from keystead.gate.call import Call
from keystead.gate.identifiers import new_id
from keystead.gate.operation import operation
from keystead.operations.authorities import BUILT_IN_PROFILES, AuthorityName, found_authority, trust_profiles
from keystead.operations.settings import section_check
from keystead.operations.users import NAME, NAME_CHARACTERS_MAX, check_name
from keystead.settings.key_server import PARTITION_PROFILE, KeyServer

PROFILES_COUNT_MAX = 100
ProfileName = Annotated[str, Text(NAME.pattern, NAME_CHARACTERS_MAX, example="suppliers")]


@dataclass(frozen=True, slots=True)
class CreateProfile:
    """Create a trust profile without CAs."""

    name: ProfileName


@dataclass(frozen=True, slots=True)
class ListProfiles:
    """List trust profiles with their CAs."""


@dataclass(frozen=True, slots=True)
class AddToProfile:
    """Let a profile trust a CA."""

    profile: ProfileName
    authority: AuthorityName


@dataclass(frozen=True, slots=True)
class RemoveFromProfile:
    """Let a profile trust a CA no longer: clients with its certificates are refused at their next message."""

    profile: ProfileName
    authority: AuthorityName


@dataclass(frozen=True, slots=True)
class DeleteProfile:
    """Delete a trust profile that no key server uses."""

    name: ProfileName


@dataclass(frozen=True, slots=True)
class Profile:
    """A trust profile as administrators see it.

    Attributes:
        name: Of the profile.
        authorities: Names of the CAs that it trusts.
        is_used: The key server uses it.
    """

    name: str
    authorities: tuple[str, ...]
    is_used: bool


@operation(
    CreateProfile, "trust_profile.create", "TrustProfileCreate", administrator=Access.AUTHORITIES, answer=Profile
)
def create_profile(call: Call, request: CreateProfile) -> Change:
    """Create the profile."""
    check_name(request.name, "profile")
    profiles = trust_profiles(call)
    if request.name in profiles:
        raise Exists(f"there is a profile {request.name} already; choose another name")
    if len(profiles) >= PROFILES_COUNT_MAX:
        raise Refused(f"there can be {PROFILES_COUNT_MAX} profiles; delete one that is not needed any more")
    return _stored(call, request.name, (), f"trust profile {request.name} created")


@operation(ListProfiles, "trust_profile.list", "TrustProfileList", administrator=Access.ANY)
def list_profiles(call: Call, _request: ListProfiles) -> tuple[Profile, ...]:
    """Return profiles by name."""
    return tuple(_profile(call, name, trusted) for name, trusted in trust_profiles(call).items())


@operation(
    AddToProfile,
    "trust_profile.add",
    "TrustProfileAdd",
    administrator=Access.AUTHORITIES,
    route="PUT /trust-profiles/{profile}/authorities/{authority}",
    answer=Profile,
)
def add_to_profile(call: Call, request: AddToProfile) -> Change:
    """Trust the CA."""
    trusted = _found(call, request.profile)
    found_authority(call, request.authority)
    if request.authority in trusted:
        raise Exists(f"the profile {request.profile} trusts {request.authority} already")
    detail = f"trust profile {request.profile}: {request.authority} added"
    return _stored(call, request.profile, (*trusted, request.authority), detail)


@operation(
    RemoveFromProfile,
    "trust_profile.remove",
    "TrustProfileRemove",
    administrator=Access.AUTHORITIES,
    route="DELETE /trust-profiles/{profile}/authorities/{authority}",
    answer=Profile,
)
def remove_from_profile(call: Call, request: RemoveFromProfile) -> Change:
    """Trust the CA no longer."""
    trusted = _found(call, request.profile)
    if request.authority not in trusted:
        raise NotFound(f"the profile {request.profile} does not trust {request.authority}")
    left = tuple(name for name in trusted if name != request.authority)
    detail = f"trust profile {request.profile}: {request.authority} removed"
    return _stored(call, request.profile, left, detail)


@operation(
    DeleteProfile, "trust_profile.delete", "TrustProfileDelete", administrator=Access.AUTHORITIES, answer=Profile
)
def delete_profile(call: Call, request: DeleteProfile) -> Change:
    """Delete the profile."""
    trusted = _found(call, request.name)
    if request.name in BUILT_IN_PROFILES:
        raise Refused(f"{request.name} is always there; take its CAs out instead")
    profile = _profile(call, request.name, trusted)
    if profile.is_used:
        raise Refused(f"the key server uses {request.name}; set key_server.trusted_ca_profile to another one first")
    held = call.desk.objects.record(KIND_TRUST_PROFILE, request.name, call.principal.realm)
    purges = () if held is None else ((KIND_TRUST_PROFILE, held.id, held.revision),)
    return Change((), profile, purges, f"trust profile {request.name} deleted")


@section_check(KeyServer)
def check_profile(call: Call, before: KeyServer, after: KeyServer) -> str:
    """Check that the profile exists and is the one for partitions where it has to be; warn when it is empty."""
    if after.serves_partitions and after.trusted_ca_profile != PARTITION_PROFILE:
        raise Refused(
            f"a server for partitions of external modules uses the profile {PARTITION_PROFILE}: set "
            f"key_server.trusted_ca_profile={PARTITION_PROFILE} first, key_server.serves_partitions=true after that; "
            "the other way round to go back",
            "refused.feature",
        )
    trusted = _found(call, after.trusted_ca_profile)
    if trusted or before.trusted_ca_profile == after.trusted_ca_profile:
        return ""
    return f"The profile {after.trusted_ca_profile} is empty: nobody can connect until a CA is put into it."


def _found(call: Call, name: str) -> tuple[str, ...]:
    profiles = trust_profiles(call)
    if name not in profiles:
        raise NotFound(f"there is no trust profile {name}; `keystead ca-profile list` shows them")
    return profiles[name]


def _profile(call: Call, name: str, trusted: Iterable[str]) -> Profile:
    used = call.desk.objects.section(KeyServer).trusted_ca_profile
    return Profile(name, tuple(sorted(trusted)), name == used)


def _stored(call: Call, name: str, trusted: tuple[str, ...], detail: str) -> Change:
    held = call.desk.objects.record(KIND_TRUST_PROFILE, name, call.principal.realm)
    fields: dict[str, Any] = {"authorities": sorted(trusted)}
    record = (
        Record(KIND_TRUST_PROFILE, new_id(call.now_us), name, fields, call.principal.realm)
        if held is None
        else held._replace(fields=fields)
    )
    return Change((Put(record),), _profile(call, name, trusted), detail=detail)
