"""The security module as administrators operate it: status, login, logout, activation, secure key cache.

Source: requirements KS-HSM-005, 016 to 020, 026, 050 to 053; chapter HSM.
"""

from dataclasses import dataclass
from typing import Any

from keystead.core.changes import Change
from keystead.core.permission import Access
from keystead.core.secret import Secret
from keystead.gate.call import Call
from keystead.gate.operation import operation
from keystead.trust.root import ModuleStatus, Role


@dataclass(frozen=True, slots=True)
class ShowModule:
    """Show the state of the module."""


@dataclass(frozen=True, slots=True)
class CheckModule:
    """Test the path to the module: open a realm's key-encryption key."""


@dataclass(frozen=True, slots=True)
class Login:
    """Log a role in with the secret from its tokens."""

    role: Role
    secret: Secret


@dataclass(frozen=True, slots=True)
class Logout:
    """Log a role out; the crypto user's logout locks the node."""

    role: Role


@dataclass(frozen=True, slots=True)
class Activate:
    """Use the partition again, within the activation window."""


@dataclass(frozen=True, slots=True)
class Deactivate:
    """Stop using the partition."""


@dataclass(frozen=True, slots=True)
class SetKeyCache:
    """Switch the secure key cache."""

    enabled: bool


@dataclass(frozen=True, slots=True)
class Switched:
    """Whether anything changed: it may have been so before (KS-HSM-053)."""

    changed: bool


@dataclass(frozen=True, slots=True)
class RoleState:
    """A role that is logged in, or not any more."""

    role: Role
    logged_in: bool


@operation(ShowModule, "module.show", "ModuleShow", administrator=Access.ANY, material=True)
def show_module(call: Call, _request: ShowModule) -> ModuleStatus:
    """Return the state; needs no login."""
    status: ModuleStatus = _module(call).status()
    return status


@operation(CheckModule, "module.check", "ModuleCheck", administrator=Access.ANY, material=True)
def check_module(call: Call, _request: CheckModule) -> bool:
    """Return True after a key-encryption key was opened; raises Unavailable while locked."""
    call.desk.keyring.check()
    return True


@operation(Login, "module.login", "ModuleLogin", administrator=Access.MODULE, material=True, route=None)
def login(call: Call, request: Login) -> Change:
    """Log in; a wrong secret was counted before it was judged."""
    _module(call).login(request.role, request.secret)
    return Change((), RoleState(request.role, logged_in=True), detail=f"{request.role} logged in")


@operation(Logout, "module.logout", "ModuleLogout", administrator=Access.MODULE, material=True, answer=RoleState)
def logout(call: Call, request: Logout) -> Change:
    """Log out."""
    _module(call).logout(request.role)
    return Change((), RoleState(request.role, logged_in=False), detail=f"{request.role} logged out")


@operation(Activate, "module.activate", "ModuleActivate", administrator=Access.MODULE, material=True, answer=Switched)
def activate(call: Call, _request: Activate) -> Change:
    """Activate; the result tells whether anything changed."""
    changed = _module(call).activate()
    return Change((), Switched(changed), detail="activated")


@operation(
    Deactivate, "module.deactivate", "ModuleDeactivate", administrator=Access.MODULE, material=True, answer=Switched
)
def deactivate(call: Call, _request: Deactivate) -> Change:
    """Deactivate; the result tells whether anything changed."""
    changed = _module(call).deactivate()
    return Change((), Switched(changed), detail="deactivated")


@operation(
    SetKeyCache,
    "module.set_key_cache",
    "ModuleKeyCache",
    administrator=Access.MODULE,
    material=True,
    route="PUT /module/key-cache",
    answer=Switched,
)
def set_key_cache(call: Call, request: SetKeyCache) -> Change:
    """Switch the cache; the result tells whether anything changed (KS-HSM-053)."""
    changed = _module(call).set_key_cache(enabled=request.enabled)
    return Change((), Switched(changed), detail=f"secure key cache {'on' if request.enabled else 'off'}")


def _module(call: Call) -> Any:
    return call.desk.services["module"]
