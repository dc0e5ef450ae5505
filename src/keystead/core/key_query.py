r"""Queries of keys as people read and type them: the tree of a query, and its canonical text. Pure.

    query     = both { "or" both }
    both      = one { "and" one }
    one       = "not" one | "(" query ")" | "all" | "query" word | condition
    condition = field operator word
    field     = a name of FIELDS | a word that begins with x- or y- | "attribute" word
    operator  = "=" | "!=" | "<" | "<=" | ">" | ">=" | "contains" | "begins"
    word      = letters, digits and _ . - : / + @ | text between double quotes, in which \" and \\ are " and \

Laws: what is written is equal to what is read again; nothing in a query is a pattern, so that no text takes longer than
its length says.

Source: requirement KS-KEY-046; docs/adr/0077-key-queries.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, StrEnum

from keystead.core.algorithms import UsageMask
from keystead.core.key_names import CATALOGUE, FAMILIES, KeyKind, KeyState

TEXT_CHARACTERS_MAX = 4096
NESTING_DEPTH_MAX = 16
CONDITIONS_COUNT_MAX = 100
WORD_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-:/+@")
RESERVED = frozenset({"and", "or", "not", "all", "query", "attribute", "contains", "begins"})
CUSTOM = ("x-", "y-")


class Operator(StrEnum):
    """How a value is compared."""

    EQUAL = "="
    UNEQUAL = "!="
    BELOW = "<"
    UP_TO = "<="
    ABOVE = ">"
    FROM = ">="
    CONTAINS = "contains"
    BEGINS = "begins"


class Sort(Enum):
    """What a field holds."""

    TEXT = "text"
    CHOICE = "one of some words"
    NUMBER = "a whole number"
    MOMENT = "a moment"
    FLAG = "yes or no"
    ATTRIBUTE = "values of an attribute"


_SAME = frozenset({Operator.EQUAL, Operator.UNEQUAL})
_TEXTUAL = frozenset({*_SAME, Operator.CONTAINS, Operator.BEGINS})
_ORDERED = frozenset({*_SAME, Operator.BELOW, Operator.UP_TO, Operator.ABOVE, Operator.FROM})
OPERATORS: dict[Sort, frozenset[Operator]] = {
    Sort.TEXT: _TEXTUAL,
    Sort.CHOICE: _SAME,
    Sort.NUMBER: _ORDERED,
    Sort.MOMENT: _ORDERED,
    Sort.FLAG: _SAME,
    Sort.ATTRIBUTE: _TEXTUAL | _ORDERED,
}


@dataclass(frozen=True, slots=True)
class FieldRule:
    """What can be asked of a field.

    Attributes:
        sort: What it holds.
        about: For people.
        choices: Words that it can be.
        unset: There are keys without it; = "" finds them.
    """

    sort: Sort
    about: str
    choices: tuple[str, ...] = ()
    unset: bool = False


USES: dict[str, UsageMask] = {use.name.lower().replace("_", "-"): use for use in UsageMask if use.name}
_YES = ("yes", "no")
FIELDS: dict[str, FieldRule] = {
    "name": FieldRule(Sort.TEXT, "name of the key, or one that clients gave it"),
    "id": FieldRule(Sort.TEXT, "id of the key"),
    "owner": FieldRule(Sort.TEXT, "name of the user who owns it", unset=True),
    "group": FieldRule(Sort.TEXT, "name of a group that it was granted to", unset=True),
    "user": FieldRule(Sort.TEXT, "name of a user whom it was granted to", unset=True),
    "policy": FieldRule(Sort.TEXT, "name of a policy that narrows what a group may do with it", unset=True),
    "kind": FieldRule(Sort.CHOICE, "what it is", tuple(KeyKind)),
    "algorithm": FieldRule(
        Sort.CHOICE, "with its length or without", tuple(dict.fromkeys((*CATALOGUE, *FAMILIES))), unset=True
    ),
    "length": FieldRule(Sort.NUMBER, "in bits; 0 where there is none"),
    "state": FieldRule(Sort.CHOICE, "where it is in its life", tuple(KeyState)),
    "usage": FieldRule(Sort.CHOICE, "something it may be used for", tuple(USES), unset=True),
    "deletable": FieldRule(Sort.FLAG, "clients may delete it", _YES),
    "exportable": FieldRule(Sort.FLAG, "clients may export it", _YES),
    "sensitive": FieldRule(Sort.FLAG, "it leaves only wrapped by another key", _YES),
    "extractable": FieldRule(Sort.FLAG, "it may leave at all", _YES),
    "versioned": FieldRule(Sort.FLAG, "it has versions", _YES),
    "created": FieldRule(Sort.MOMENT, "when it came here"),
    "changed": FieldRule(Sort.MOMENT, "when it was last changed"),
    "activation": FieldRule(Sort.MOMENT, "from then on it is active", unset=True),
    "process-start": FieldRule(Sort.MOMENT, "from then on it decrypts and verifies", unset=True),
    "protect-stop": FieldRule(Sort.MOMENT, "from then on it no longer encrypts and signs", unset=True),
    "deactivation": FieldRule(Sort.MOMENT, "from then on it is deactivated", unset=True),
    "compromised": FieldRule(Sort.MOMENT, "when it was marked compromised", unset=True),
    "destroyed": FieldRule(Sort.MOMENT, "when its bytes were erased", unset=True),
}
ATTRIBUTE = FieldRule(Sort.ATTRIBUTE, "value of an attribute", unset=True)


@dataclass(frozen=True, slots=True)
class Everything:
    """Holds for every key."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison.

    Attributes:
        field: Of FIELDS; "" = an attribute.
        operator: How it is compared.
        value: As it was typed; "" = that there is none.
        attribute: Name of the attribute.
    """

    field: str
    operator: Operator
    value: str
    attribute: str = ""


@dataclass(frozen=True, slots=True)
class Reference:
    """Holds for what another saved query finds."""

    name: str


@dataclass(frozen=True, slots=True)
class Not:
    """Holds where the other does not."""

    of: "Expression"


@dataclass(frozen=True, slots=True)
class Every:
    """Holds where each of several does; none of them is an `Every`."""

    of: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Either:
    """Holds where one of several does; none of them is an `Either`."""

    of: tuple["Expression", ...]


Expression = Everything | Condition | Reference | Not | Every | Either


def leaves(expression: Expression) -> Iterator[Everything | Condition | Reference]:
    """Yield what an expression is made of, in order."""
    if isinstance(expression, Not):
        yield from leaves(expression.of)
    elif isinstance(expression, (Every, Either)):
        for one in expression.of:
            yield from leaves(one)
    else:
        yield expression


def references(expression: Expression) -> tuple[str, ...]:
    """Return the names of the queries that an expression refers to, each once."""
    return tuple(dict.fromkeys(leaf.name for leaf in leaves(expression) if isinstance(leaf, Reference)))


def depth_of(expression: Expression) -> int:
    """Return how deep the canonical text is nested: what `not` and parentheses it has around each other."""
    if isinstance(expression, Not):
        return 1 + _depth(expression.of)
    if isinstance(expression, (Every, Either)):
        return max(_depth(one) for one in expression.of)
    return 0


def _depth(expression: Expression) -> int:
    return depth_of(expression) + isinstance(expression, (Every, Either))


def asks_for_destroyed(expression: Expression) -> bool:
    """Tell whether an expression names a state of destroyed keys, without which they are left out."""
    return any(
        isinstance(leaf, Condition)
        and leaf.field == "state"
        and leaf.operator is Operator.EQUAL
        and leaf.value in (KeyState.DESTROYED, KeyState.DESTROYED_COMPROMISED)
        for leaf in leaves(expression)
    )


def written(expression: Expression) -> str:
    """Return the canonical text of an expression."""
    return _written(expression, 0)


_OR, _AND, _NOT = 0, 1, 2


def _written(expression: Expression, binding: int) -> str:
    if isinstance(expression, Everything):
        return "all"
    if isinstance(expression, Reference):
        return f"query {quoted(expression.name)}"
    if isinstance(expression, Condition):
        return f"{_field(expression)} {expression.operator} {quoted(expression.value)}"
    if isinstance(expression, Not):
        return f"not {_written(expression.of, _NOT)}"
    word = " and " if isinstance(expression, Every) else " or "
    text = word.join(_written(one, _AND) for one in expression.of)
    return text if binding == _OR else f"({text})"


def _field(condition: Condition) -> str:
    if condition.field:
        return condition.field
    is_bare = condition.attribute.startswith(CUSTOM) and is_word(condition.attribute)
    return condition.attribute if is_bare else f"attribute {quoted(condition.attribute)}"


def is_word(text: str) -> bool:
    """Tell whether a text needs no quotes."""
    return bool(text) and WORD_CHARACTERS.issuperset(text) and text.lower() not in RESERVED


def quoted(text: str) -> str:
    """Return a text as it stands in a query, in quotes where it needs them."""
    if is_word(text):
        return text
    inside = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{inside}"'
