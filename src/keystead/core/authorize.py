"""Who may do what with a managed object: one pure decision.

Law: an asker who may not even see an object gets the same answer as for one that does not exist.

What is granted under a policy is in no mask that is asked for every request: it is looked for where the mask refuses.

A user finds what is granted to them where their own objects are: one search, not two.

Source: requirements KS-KEY-004, 005, 006, 021; KS-POL-002, 013; KS-AUTH-013; attacks.md classes 14 and 17.
"""

from keystead.core.permission import ALL, CONDITIONAL, GRANTABLE, PERSONAL, Principal, Right, Switches, personal
from keystead.core.records import ManagedObject, Record

_ALL, _GRANTABLE, _SEE = int(ALL), int(GRANTABLE), int(Right.SEE)


def rights_on(principal: Principal, target: ManagedObject | Record, switches: Switches) -> int:
    """Return every right the principal holds on the object: from ownership, globality, grants to groups and to users.

    An administrator has passed by access to the area, which knows no owners. Other records have no rights.

    Returns: a plain mask of `permission.Right`; arithmetic on flags is ten times slower, and every request needs it.
    """
    if type(target) is not ManagedObject or principal.realm != target.realm:
        return 0
    kind = principal.kind
    if kind == "user":
        if target.owner == principal.name:
            return _ALL
    elif kind in ("administrator", "local"):
        return _ALL
    if target.owner is None:
        return _ALL if switches.global_keys and kind in ("user", "global") else 0
    if kind != "user":
        return 0
    if not target.grants:
        return 0
    held = target.grants.get(personal(principal.name), 0)
    for group in principal.groups:
        held |= target.grants.get(group, 0)
    return held & _GRANTABLE | _SEE if held & _GRANTABLE else 0


def policies_on(principal: Principal, target: ManagedObject | Record, right: int) -> tuple[tuple[str, str], ...]:
    """Return (group, policy) of every grant that gives the principal all of a right as far as a policy lets it.

    Owners, global keys and certificates have no such grants (KS-POL-013).
    """
    if type(target) is not ManagedObject or principal.realm != target.realm or principal.kind != "user":
        return ()
    if target.owner is None or target.owner == principal.name:
        return ()
    found: list[tuple[str, str]] = []
    for grantee, mask in target.grants.items():
        if grantee.startswith(CONDITIONAL) and not right & ~(mask & _GRANTABLE):
            policy, _, group = grantee[len(CONDITIONAL) :].partition(":")
            if group in principal.groups:
                found.append((group, policy))
    return tuple(found)


def scopes_of(principal: Principal, switches: Switches) -> tuple[str, ...]:
    """Return the index scopes in which the principal can find objects: own, each group, global.

    An object is indexed once per scope that may see it (`scopes_for`), so that a search by one user never walks
    another user's objects.
    """
    scopes: list[str] = []
    if principal.kind == "user":
        scopes.append("u:" + principal.name)
        scopes.extend("g:" + group for group in sorted(principal.groups))
    if switches.global_keys and principal.kind in ("user", "global"):
        scopes.append("*")
    return tuple(scopes)


def scopes_for(target: ManagedObject) -> tuple[str, ...]:
    """Return the index scopes under which an object is listed; the inverse of `scopes_of`, and `scope_of_policy`."""
    if target.owner is None:
        return ("*",)
    own = "u:" + target.owner
    if not target.grants:
        return (own,)
    granted = [_scope_of(grantee) for grantee in sorted(target.grants) if target.grants[grantee] & _GRANTABLE]
    return (own, *(scope for scope in dict.fromkeys(granted) if scope != own))


def scope_of_policy(policy: str) -> str:
    """Return the index scope of the objects that are granted under a policy; it is no asker's."""
    return "p:" + policy


def _scope_of(grantee: str) -> str:
    if grantee.startswith(CONDITIONAL):
        return scope_of_policy(grantee[len(CONDITIONAL) :].partition(":")[0])
    return "u:" + grantee[len(PERSONAL) :] if grantee.startswith(PERSONAL) else "g:" + grantee
