"""Reading the text of a query: words with their places, then a tree, within bounds. Pure.

Laws: every error says at which character; the time is that of going over the text once; what looks like a letter and is
none of ASCII stands between quotes or nowhere.

Source: requirement KS-KEY-046; docs/adr/0077-key-queries.md.
"""

from typing import NamedTuple, NoReturn

from keystead.core.errors import Invalid
from keystead.core.key_query import (
    ATTRIBUTE,
    CONDITIONS_COUNT_MAX,
    CUSTOM,
    FIELDS,
    NESTING_DEPTH_MAX,
    OPERATORS,
    RESERVED,
    TEXT_CHARACTERS_MAX,
    WORD_CHARACTERS,
    Condition,
    Either,
    Every,
    Everything,
    Expression,
    FieldRule,
    Not,
    Operator,
    Reference,
    Sort,
    depth_of,
    written,
)
from keystead.core.moments import moment_from
from keystead.core.peoples_attributes import PEOPLES, can_be_asked

NUMBER_MAX = 2**31 - 1
_SIGNS = ("!=", "<=", ">=", "=", "<", ">", "(", ")")


class Token(NamedTuple):
    """A word, a sign or the end of the text ("")."""

    text: str
    place: int  # from 1
    is_quoted: bool = False

    @property
    def word(self) -> str:
        """The keyword or field that it may be."""
        return "" if self.is_quoted else self.text.lower()


def read_query(text: str) -> Expression:
    """Return the tree of a query.

    Raises:
        Invalid: too long, too deep or of too many conditions, or this is no query; says where.
    """
    if len(text) > TEXT_CHARACTERS_MAX:
        raise Invalid(f"a query has at most {TEXT_CHARACTERS_MAX} characters", "invalid.field")
    parser = _Parser(_tokens(text))
    return parser.whole()


def _fail(place: int, message: str) -> NoReturn:
    raise Invalid(f"at character {place} of the query: {message}", "invalid.field")


def _tokens(text: str) -> list[Token]:
    found: list[Token] = []
    at = 0
    while at < len(text):
        character = text[at]
        if character in " \t\r\n":
            at += 1
        elif character == '"':
            token, at = _quoted(text, at)
            found.append(token)
        elif character in WORD_CHARACTERS:
            end = at
            while end < len(text) and text[end] in WORD_CHARACTERS:
                end += 1
            found.append(Token(text[at:end], at + 1))
            at = end
        else:
            sign = next((sign for sign in _SIGNS if text.startswith(sign, at)), "")
            if not sign:
                _fail(at + 1, f"U+{ord(character):04X} stands here only between double quotes")
            found.append(Token(sign, at + 1))
            at += len(sign)
    found.append(Token("", len(text) + 1))
    return found


def _quoted(text: str, begin: int) -> tuple[Token, int]:
    inside: list[str] = []
    at = begin + 1
    while at < len(text):
        character = text[at]
        if character == '"':
            return Token("".join(inside), begin + 1, is_quoted=True), at + 1
        if character == "\\":
            at += 1
            character = text[at : at + 1]
            if character not in ('"', "\\"):
                _fail(at, 'after a backslash comes " or another backslash')
        elif not character.isprintable():
            _fail(at + 1, f"U+{ord(character):04X} cannot be seen, and stands in no query")
        inside.append(character)
        at += 1
    _fail(begin + 1, "these quotes are left open")


class _Parser:
    """Goes along the words once."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._count = 0

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._tokens[self._at]
        if self._at < len(self._tokens) - 1:
            self._at += 1
        return token

    def whole(self) -> Expression:
        found = self._either(0)
        if self._next is not self._tokens[-1]:
            _fail(self._next.place, f"expected and, or, or the end, not {self._next.text[:40]!r}")
        if depth_of(found) > NESTING_DEPTH_MAX:
            raise Invalid(f"written out, a query is nested at most {NESTING_DEPTH_MAX} deep", "invalid.field")
        if len(written(found)) > TEXT_CHARACTERS_MAX:
            raise Invalid(f"written out, a query has at most {TEXT_CHARACTERS_MAX} characters", "invalid.field")
        return found

    def _either(self, depth: int) -> Expression:
        found = [self._every(depth)]
        while self._next.word == "or":
            self._take()
            found.append(self._every(depth))
        if len(found) == 1:
            return found[0]
        return Either(tuple(part for one in found for part in (one.of if isinstance(one, Either) else (one,))))

    def _every(self, depth: int) -> Expression:
        found = [self._one(depth)]
        while self._next.word == "and":
            self._take()
            found.append(self._one(depth))
        if len(found) == 1:
            return found[0]
        return Every(tuple(part for one in found for part in (one.of if isinstance(one, Every) else (one,))))

    def _one(self, depth: int) -> Expression:
        token = self._take()
        if token.word in ("not", "(") and depth >= NESTING_DEPTH_MAX:
            _fail(token.place, f"a query is nested at most {NESTING_DEPTH_MAX} deep")
        if token.word == "not":
            return Not(self._one(depth + 1))
        if token.word == "(":
            found = self._either(depth + 1)
            closing = self._take()
            if closing.word != ")":
                _fail(closing.place, f"expected ) for the ( at character {token.place}")
            return found
        self._count += 1
        if self._count > CONDITIONS_COUNT_MAX:
            _fail(token.place, f"a query has at most {CONDITIONS_COUNT_MAX} conditions")
        if token.word == "all":
            return Everything()
        if token.word == "query":
            return Reference(self._value("the name of a query").text)
        return self._condition(token)

    def _condition(self, token: Token) -> Condition:
        field, attribute, rule = self._field(token)
        sign = self._take()
        try:
            operator = Operator(sign.word)
        except ValueError:
            _fail(sign.place, f"expected one of {' '.join(Operator)} after {token.text[:40]}")
        if operator not in OPERATORS[rule.sort]:
            usable = " ".join(one for one in Operator if one in OPERATORS[rule.sort])
            _fail(sign.place, f"{token.text[:40]} is {rule.sort.value} and takes only {usable}")
        value = self._value("a value")
        _check_value(rule, operator, value)
        return Condition(field, operator, value.text, attribute)

    def _field(self, token: Token) -> tuple[str, str, FieldRule]:
        word = token.word
        if word in FIELDS:
            return word, "", FIELDS[word]
        if word == "attribute":
            named = self._value("the name of an attribute")
            if not can_be_asked(named.text):
                _fail(named.place, f"of attributes there are custom ones, and {', '.join(PEOPLES)}")
            return "", named.text, ATTRIBUTE
        if not token.is_quoted and token.text.startswith(CUSTOM) and len(token.text) > len(CUSTOM[0]):
            if not can_be_asked(token.text):
                _fail(token.place, "the name of an attribute is too long")
            return "", token.text, ATTRIBUTE
        _fail(token.place, f"expected ( not all query attribute x-NAME or a field: {' '.join(FIELDS)}")

    def _value(self, wanted: str) -> Token:
        token = self._take()
        if not token.is_quoted and (not token.text or token.text in _SIGNS or token.word in RESERVED):
            _fail(token.place, f"expected {wanted}; in double quotes it may be any text")
        return token


def _check_value(rule: FieldRule, operator: Operator, value: Token) -> None:
    text = value.text
    if not text:
        if operator not in (Operator.EQUAL, Operator.UNEQUAL):
            _fail(value.place, 'nothing, "", is compared by = and != only')
        if not rule.unset:
            _fail(value.place, "every key has this; say what it is compared with")
        return
    if rule.choices and text not in rule.choices:
        _fail(value.place, f"expected one of {' '.join(rule.choices)}")
    if rule.sort is Sort.NUMBER and (
        not (text.isascii() and text.isdigit() and len(text) <= len(str(NUMBER_MAX))) or int(text) > NUMBER_MAX
    ):
        _fail(value.place, f"expected a whole number up to {NUMBER_MAX}")
    if rule.sort is Sort.MOMENT and moment_from(text) is None:
        _fail(value.place, "expected a time such as 2027-01-31, 2027-01-31T12:00:00Z, -30d or +12h")
