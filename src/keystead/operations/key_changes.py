"""What the owner of a key changes of it in one request: its name, its flags, what people read of it.

Law: owners give flags away and never take them: whether clients may delete and export a key at all is the
administrators' to allow.

Source: requirement KS-NAE-012; chapter Keys (Properties).
"""

from dataclasses import dataclass

from keystead.core.changes import Change, Put
from keystead.core.errors import Invalid, Refused
from keystead.core.permission import Right
from keystead.gate.call import Call
from keystead.gate.operation import Target, operation
from keystead.operations.admin_keys import (
    Assignments,
    AttributeNames,
    KeyName,
    attributes_from,
    described_by,
    renamed,
)
from keystead.operations.grants import KeyPlace
from keystead.operations.key_attribute_names import DefinedNames
from keystead.operations.requests import Touched


@dataclass(frozen=True, slots=True)
class ModifyKey:
    """Change a key of one's own, all that is given or nothing; None leaves it as it is.

    Attributes:
        target: Id or name of the key.
        name: Another name.
        deletable: False: clients may no longer delete it.
        exportable: False: clients may no longer export it.
        attributes: NAME=VALUE each, as of `key.change`.
        without: Names of attributes to take away.
    """

    target: KeyPlace
    name: KeyName | None = None
    deletable: bool | None = None
    exportable: bool | None = None
    attributes: Assignments = ()
    without: AttributeNames = ()


@operation(
    ModifyKey,
    "key.modify",
    "KeyModify",
    user=Right.MODIFY,
    targets=(Target(Right.MODIFY, by_name=True),),
    configuration=True,
)
def modify_key(call: Call, request: ModifyKey) -> Change:
    """Change what was given."""
    record = call.target
    flags = {
        name: wanted
        for name, wanted in (("deletable", request.deletable), ("exportable", request.exportable))
        if wanted is not None
    }
    for name, wanted in flags.items():
        if wanted and not getattr(record.protection, name):
            raise Refused(f"only an administrator makes a key {name}", "refused.permission")
    if flags:
        record = record.changed(call.now_us, protection=record.protection._replace(**flags))
    if request.name is not None:
        record = renamed(call, record, request.name)
    written = attributes_from(call, request.attributes)
    removed = [*map(DefinedNames(call).stored, request.without)]
    record = described_by(record, written, removed, call.now_us)
    if record is call.target:
        raise Invalid("say what to change", "invalid.missing")
    told = [*flags, *([] if request.name is None else ["name"]), *[one.name for one in written], *removed]
    return Change((Put(record),), Touched(record.id), detail=f"changed {', '.join(told)} of {call.target.handle}")
