"""What a section of settings is: a frozen dataclass whose fields carry title and limits.

A section is stored as one record of kind "settings" whose handle is the section's name; a section that was never
changed has no record and means its defaults.

Source: design.md section 3; requirements as each section names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, TypeVar

from keystead.core.errors import Invalid, NotFound
from keystead.core.permission import Access

SECTIONS: dict[str, type["Section"]] = {}
"""Every section by name; filled when `keystead.settings` files are imported."""

S = TypeVar("S", bound="Section")


@dataclass(frozen=True, slots=True)
class Section:
    """Base of all sections.

    Attributes:
        name: Stable name, used in `SECTION.FIELD=VALUE`.
        title: For people.
        access: What an administrator needs to change it.
        own: Kept in the node's own store instead of the shared one.
        caution: What whoever changes it should know (KS-KMIP-016); "" = nothing.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    access: ClassVar[Access]
    own: ClassVar[bool] = False
    caution: ClassVar[str] = ""


def described(
    title: str, default: Any, *, minimum: int | None = None, maximum: int | None = None, choices: tuple[str, ...] = ()
) -> Any:
    """Declare a field: bool, int within limits, or str (one of the choices, if there are any)."""
    return field(default=default, metadata={"title": title, "minimum": minimum, "maximum": maximum, "choices": choices})


def section(cls: type[S]) -> type[S]:
    """Register a section."""
    SECTIONS[cls.name] = cls
    return cls


def parse(name: str, field_name: str, word: str) -> bool | int | str:
    """Read one value typed by a person.

    Raises:
        NotFound: no such section or field. Invalid: not of the field's kind or outside its limits.
    """
    declared = SECTIONS.get(name)
    found = {f.name: f for f in fields(declared)} if declared is not None else {}
    if field_name not in found:
        raise NotFound(f"there is no setting {name}.{field_name}; `keystead settings show` lists them")
    default = found[field_name].default
    if isinstance(default, bool):
        if word.lower() not in ("true", "false", "on", "off", "yes", "no", "1", "0"):
            raise Invalid(f"{name}.{field_name} is true or false", "invalid.field")
        return word.lower() in ("true", "on", "yes", "1")
    if isinstance(default, int):
        if not word.lstrip("-").isdigit():
            raise Invalid(f"{name}.{field_name} is a whole number", "invalid.field")
        return checked(declared, field_name, int(word))
    return checked(declared, field_name, word)


def checked(declared: type[Section] | None, field_name: str, value: bool | int | str) -> bool | int | str:
    """Return the value if it is within the field's limits, else raise Invalid."""
    found = {f.name: f for f in fields(declared)} if declared is not None else {}
    if field_name not in found:
        raise NotFound(f"there is no such setting: {field_name}")
    wanted = found[field_name]
    same_kind = type(value) is type(wanted.default)  # not isinstance: True is no number
    if not same_kind:
        raise Invalid(f"{field_name} is of another kind ({type(wanted.default).__name__})", "invalid.field")
    low, high = wanted.metadata["minimum"], wanted.metadata["maximum"]
    if isinstance(value, int) and ((low is not None and value < low) or (high is not None and value > high)):
        raise Invalid(f"{field_name} must be from {low} to {high}", "invalid.field")
    choices = wanted.metadata["choices"]
    if choices and value not in choices:
        raise Invalid(f"{field_name} is one of {', '.join(choices)}", "invalid.field")
    return value


def read(declared: type[S], stored: Mapping[str, Any]) -> S:
    """Make a section from stored fields; unknown ones (of a newer version) are left out."""
    known = {f.name for f in fields(declared)}
    return declared(**{k: v for k, v in stored.items() if k in known})
