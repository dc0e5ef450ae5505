"""What a key is granted to groups and users, as its record keeps it: one map of masks. Pure.

For each operation a group has Never, Always or a policy (KS-KEY-021): nothing, a bit in the mask under the group's
name, or a bit in a mask under a policy and the group. Whoever has anything sees the key, which is Always.

Source: requirements KS-KEY-021; KS-POL-001, 002; docs/adr/0076.
"""

from collections.abc import Mapping
from typing import NamedTuple

from keystead.core.permission import CONDITIONAL, Right, conditional

SEE = int(Right.SEE)


class Held(NamedTuple):
    """What one grantee has.

    Attributes:
        always: Mask of rights without a condition.
        under: Policy -> mask of rights that it narrows.
    """

    always: int
    under: Mapping[str, int]

    def given(self, rights: int, policy: str = "") -> "Held":
        """Return it with rights set to Always, or to a policy; whatever these rights were before is gone."""
        rest = self.taken(rights)
        if not policy:
            return Held(rest.always | rights, rest.under)
        under = {**rest.under, policy: rest.under.get(policy, 0) | rights & ~SEE}
        return Held(rest.always | SEE, under)

    def taken(self, rights: int) -> "Held":
        """Return it with rights set to Never."""
        under = {policy: left for policy, mask in self.under.items() if (left := mask & ~rights)}
        return Held(self.always & ~rights, under)

    @property
    def rights(self) -> int:
        """Every right, whatever it depends on."""
        every = self.always
        for mask in self.under.values():
            every |= mask
        return every


def held_by(grants: Mapping[str, int], grantee: str) -> Held:
    """Return what a grantee has."""
    return Held(
        grants.get(grantee, 0), {policy: mask for policy, group, mask in conditions(grants) if group == grantee}
    )


def with_held(grants: Mapping[str, int], grantee: str, held: Held) -> dict[str, int]:
    """Return grants in which a grantee has this and nothing else; who has anything sees the key."""
    changed = without(grants, grantee)
    if held.rights:
        changed[grantee] = held.always | SEE
        changed.update({conditional(policy, grantee): mask for policy, mask in held.under.items()})
    return changed


def without(grants: Mapping[str, int], grantee: str) -> dict[str, int]:
    """Return grants but for one grantee's."""
    gone = {grantee, *(conditional(policy, group) for policy, group, _ in conditions(grants) if group == grantee)}
    return {name: mask for name, mask in grants.items() if name not in gone}


def conditions(grants: Mapping[str, int]) -> list[tuple[str, str, int]]:
    """Return (policy, group, mask) of everything that is granted under a policy."""
    return [(*_names(name), mask) for name, mask in grants.items() if name.startswith(CONDITIONAL)]


def _names(grantee: str) -> tuple[str, str]:
    policy, _, group = grantee[len(CONDITIONAL) :].partition(":")
    return policy, group
