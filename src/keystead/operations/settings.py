"""Reading and changing settings: two operations serve every section.

Source: design.md section 3; requirements KS-KMIP-007, 008; KS-LOG-001 (every change is audited).
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Annotated, Any, TypeVar

from keystead.core.approvals import Approval
from keystead.core.changes import Change, Put
from keystead.core.errors import NotFound, Refused
from keystead.core.fields import Text
from keystead.core.permission import Access
from keystead.core.records import KIND_SETTINGS, Record
from keystead.gate.call import Call
from keystead.gate.operation import operation
from keystead.settings.all import SECTIONS
from keystead.settings.approvals import MultipleCredentials
from keystead.settings.section import Section, checked, read
from keystead.settings.user_directory import Ldap, UserDirectory

OWN_SETTINGS = "own_settings"
"""Service of the gate: the node's own sections as they were when the process started."""

S = TypeVar("S", bound=Section)
SectionCheck = Callable[[Call, S, S], str]
"""Gets a section before and after a change; returns a warning, or "", or raises why it cannot be so."""
_FIELDS = tuple(sorted({field.name for section in SECTIONS.values() for field in fields(section)}))
_CHECKS: dict[str, SectionCheck[Any]] = {}


def section_check(declared: type[S]) -> Callable[[SectionCheck[S]], SectionCheck[S]]:
    """Register what a section must be checked against beyond the limits of its fields."""

    def register(check: SectionCheck[S]) -> SectionCheck[S]:
        _CHECKS[declared.name] = check
        return check

    return register


@dataclass(frozen=True, slots=True)
class ReadSettings:
    """Show sections; "" = all."""

    section: Annotated[str, Text(choices=("", *sorted(SECTIONS)))] = ""


@dataclass(frozen=True, slots=True)
class ChangeSetting:
    """Set one field."""

    section: Annotated[str, Text(choices=tuple(sorted(SECTIONS)), example="key_server")]
    field: Annotated[str, Text(choices=_FIELDS, example="connection_timeout_s")]
    value: Annotated[Any, Text(example=1800)]


@dataclass(frozen=True, slots=True)
class ChangedSetting:
    """A field as it is now, with what whoever changed it should know; "" = nothing."""

    value: Any
    caution: str


def _approval(request: ChangeSetting) -> Approval | None:
    """Return what others approve: changes of the approvals themselves, and of where users are (KS-MC-003, 006)."""
    if request.section in (UserDirectory.name, Ldap.name):
        return Approval.LDAP
    return Approval.MULTIPLE_CREDENTIALS if request.section == MultipleCredentials.name else None


@operation(ReadSettings, "settings.read", "SettingsRead", administrator=Access.ANY, route="GET /settings")
def read_settings(call: Call, request: ReadSettings) -> dict[str, dict[str, Any]]:
    """Return section name -> field -> value."""
    if request.section and request.section not in SECTIONS:
        raise NotFound(f"there is no section {request.section}; leave the name out to see all")
    names = [request.section] if request.section else sorted(SECTIONS)
    return {name: asdict(current_section(call, name)[0]) for name in names}


@operation(
    ChangeSetting,
    "settings.change",
    "SettingsChange",
    administrator=Access.ANY,
    route="PUT /settings/{section}/{field}",
    answer=ChangedSetting,
    approval=_approval,
)
def change_setting(call: Call, request: ChangeSetting) -> Change:
    """Store a section with one field changed; it counts for the next request on every process of the node."""
    if request.section not in SECTIONS:
        raise NotFound(f"there is no section {request.section}; `keystead settings show` lists them")
    declared = SECTIONS[request.section]
    if declared.access & ~call.principal.access:
        raise Refused(f"changing {request.section} needs another administrator right", "refused.permission")
    if declared.own:
        raise Refused(
            f"{request.section} belongs to this node: change it with the node stopped, "
            f"`keystead settings set --data DIR {request.section}.{request.field}=VALUE`",
            "refused.feature",
        )
    current, record = current_section(call, request.section)
    changed, caution = changed_section(call, request.section, current, {request.field: request.value})
    put = Put(record._replace(fields=asdict(changed)))
    detail = f"{request.section}.{request.field} from {getattr(current, request.field)} to {request.value}"
    return Change((put,), ChangedSetting(request.value, caution), detail=detail)


def changed_section(call: Call, name: str, current: Section, values: Mapping[str, Any]) -> tuple[Section, str]:
    """Return a section with other values, and what whoever changes it should know; "" = nothing.

    Raises:
        Invalid, Refused: a value is none of its field's, or the section cannot be so.
    """
    declared = SECTIONS[name]
    changed = replace(current, **{field: checked(declared, field, value) for field, value in values.items()})
    check = _CHECKS.get(name)
    warning = check(call, current, changed) if check is not None else ""
    return changed, f"{declared.caution} {warning}".strip()


def current_section(call: Call, name: str) -> tuple[Section, Record]:
    """Return a section as it is now, and its record."""
    own: dict[str, Section] = call.desk.services.get(OWN_SETTINGS, {})
    if name in own:
        return own[name], Record(KIND_SETTINGS, f"settings.{name}", name, {})
    record = call.desk.objects.record(KIND_SETTINGS, name)
    if record is None:
        record = Record(KIND_SETTINGS, f"settings.{name}", name, {})
    return read(SECTIONS[name], record.fields), record
