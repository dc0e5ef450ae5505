"""Settings that are recommended together, set together: one change, or none.

Source: requirement KS-AUTH-007; chapter Key Server (Authentication Settings).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Annotated, Any

from keystead.core.changes import Change, Put
from keystead.core.fields import Text
from keystead.core.permission import Access
from keystead.gate.call import Call
from keystead.gate.operation import operation
from keystead.operations.settings import changed_section, current_section
from keystead.settings.xml import CLEARTEXT, NAMED_CERTIFICATE, REQUIRED, Xml

Wanted = Mapping[str, Mapping[str, Any]]

PRESETS: Mapping[str, Wanted] = MappingProxyType(
    {
        "recommended_authentication": {
            "key_server": {"allow_global_sessions": False, "check_source_ip": True},
            "xml_server": {"password_authentication": REQUIRED, "client_certificate": NAMED_CERTIFICATE},
        }
    }
)
"""Preset -> section -> field -> value. TLS, which is recommended too, is the node's own affair: it is told of."""


@dataclass(frozen=True, slots=True)
class ApplyPreset:
    """Set everything that a preset recommends.

    Attributes:
        name: recommended_authentication: no sessions without a user, and clients that prove themselves by a certificate
            which names the address they come from, over XML by their password as well.
    """

    name: Annotated[str, Text(choices=tuple(PRESETS))]


@dataclass(frozen=True, slots=True)
class AppliedPreset:
    """What a preset did.

    Attributes:
        changed: "section.field: before -> now", of each field that was otherwise.
        caution: What whoever applied it should know; "" = nothing.
    """

    changed: tuple[str, ...]
    caution: str


@operation(ApplyPreset, "preset.apply", "SettingsPreset", administrator=Access.KEY_SERVER, answer=AppliedPreset)
def apply_preset(call: Call, request: ApplyPreset) -> Change:
    """Store every section of the preset in one change; those that are so already are left alone."""
    puts: list[Put] = []
    told: list[str] = []
    cautions: list[str] = []
    for name, fields in PRESETS[request.name].items():
        before, record = current_section(call, name)
        after, warning = changed_section(call, name, before, fields)
        if after == before:
            continue
        puts.append(Put(record._replace(fields=asdict(after))))
        told += [f"{name}.{at}: {old} -> {new}" for at, new in fields.items() if (old := getattr(before, at)) != new]
        cautions += [warning] if warning else []
    xml = current_section(call, Xml.name)[0]
    if isinstance(xml, Xml) and xml.enabled and not xml.use_tls:
        cautions.append(f"The preset cannot change what belongs to the node: {CLEARTEXT}; set xml.use_tls.")
    detail = f"{request.name}: {', '.join(told) or 'everything was so already'}"
    return Change(tuple(puts), AppliedPreset(tuple(told), " ".join(dict.fromkeys(cautions))), detail=detail)
