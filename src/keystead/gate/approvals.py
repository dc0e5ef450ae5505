"""Operations that an administrator cannot run alone: the gate asks the rule of approvals before the handler.

Laws: no administrator's request that is declared with an approval reaches its handler past the rule; without a rule
nothing of the kind runs at all. Users and the clock are not bound. Nothing here knows who approves.

Source: requirements KS-MC-004 to 007; attacks.md class 41; docs/adr/0070.
"""

from collections.abc import Callable
from typing import Any

from keystead.core.approvals import Approval
from keystead.core.errors import Internal, Invalid
from keystead.gate.operation import Declaration

UNBOUND = frozenset({"user", "global", "clock"})

Rule = Callable[[Any, Declaration, Any, Approval], Any]
"""Runs the handler, or returns the change that has the request wait: (call, declaration, request, what it does)."""
_RULES: list[Rule] = []


def approval_rule(rule: Rule) -> Rule:
    """Register what decides on bound requests; there is one."""
    if _RULES:
        raise ValueError("there is a rule of approvals already")
    _RULES.append(rule)
    return rule


def kind_of_approval(declaration: Declaration, request: Any) -> Approval | None:
    """Return what others have to approve of a request, None = nothing."""
    declared = declaration.approval
    return declared if declared is None or isinstance(declared, Approval) else declared(request)


def run_bound(declaration: Declaration, call: Any, request: Any) -> Any:
    """Run a request that may need approvals, or return what has it wait.

    Raises:
        Invalid: it came together with others.
    """
    kind = kind_of_approval(declaration, request)
    if kind is None or call.principal.kind in UNBOUND:
        return declaration.handler(call, request)
    if not _RULES:
        raise Internal("nothing decides on approvals here")
    if len(call.batch.requests) > 1:
        raise Invalid("send what others may have to approve in a message of its own", "invalid.message")
    return _RULES[0](call, declaration, request, kind)
