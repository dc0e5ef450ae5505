"""What the console is made of: nouns with their lists, items and verbs, and where each stands in the tabs. Pure.

All of it is drawn from the declarations; only the places in the tabs, and some titles, are said here.

Source: design.md law 3; requirements KS-UI-006 to 024.
"""

import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from typing import Any

from keystead.core.permission import Access
from keystead.core.secret import Secret
from keystead.gate.forms import Field, fields_of, summary_of
from keystead.protocols.rest.routes import PLURALS, SINGLE, Route, routes
from keystead.settings.all import SECTIONS
from keystead.settings.section import Section

BY_HAND = frozenset(
    {
        *("approval.count", "audit.show", "preferences.change", "preferences.show"),
        *("settings.change", "settings.read"),
    }
)
"""Operations whose pages are not drawn from their declarations."""
MAKING = frozenset({"create", "define", "install", "issue", "generate", "import", "install_list"})
TITLES = {
    "api_token": "API token",
    "authority": "Certificate authority",
    "authority.install_list": "Install revocation list",
    "authority.show": "Certificate",
    "certificate": "Client certificate",
    "user.disable": "Disable or enable",
    "group": "Group",
    "ip_authorization": "IP authorization",
    "ip_entry": "IP authorization entry",
    "key.erase_several": "Erase several",
    "key_use": "Use of keys",
    "key_use.count": "Count uses",
    "key.give": "Give rights",
    "key.grant": "Set rights of a group",
    "key.grants": "Rights",
    "key.take": "Take rights",
    "drive": "Drive",
    "key_attribute": "Attribute name",
    "key_backup": "Backup of HSM keys",
    "key_restore": "Restore of HSM keys",
    "module": "Security module",
    "module.check": "Test",
    "node": "System information",
    "preset": "Recommended settings",
    "preset.apply": "Apply",
    "ssh": "SSH host key",
    "policy": "Authorization policy",
    "audit": "Audit log",
    "query": "Key query",
    "query.apply": "Run without saving",
    "trust_profile.add": "Add authority",
    "trust_profile.remove": "Remove authority",
}
ABOUT = {
    "administrator.change": "What the person is called, may do, and whether the account can be used.",
    "administrator.delete": "Delete the administrator; repeat the name to confirm.",
    "administrator.list": "Accounts of the people who look after this node, and what each may do.",
    "api_token.list": "What your programs log in with; with high access you see everybody's.",
    "authority.list": "Authorities that are known here; whose client certificates count is said by the trust profiles.",
    "certificate.revoke": "Revoke the certificate for ever.",
    "certificate.list": "Certificates of the local authority, by which clients prove who they are.",
    "group.list": "Users who may be granted the use of a key together.",
    "ip_authorization.set": "Say from where connections are taken. Your own way in has to stay listed.",
    "ip_entry.list": "Who may connect where only listed addresses may; what several entries allow adds up.",
    "drive.list": "Drives that this node has signed, and the set that each holds.",
    "key.find": "Keys of every owner; all that is asked for has to hold. Destroyed ones are found by their state.",
    "policy.list": "How often and when a group may use a key, where its rights on the key name a policy.",
    "trust_profile.list": "Each profile names the authorities whose client certificates count.",
    "user.delete": "Delete the user with certificates and grants. Keys of the user need an heir.",
    "user.list": "Clients that use keys; each proves who it is by a certificate.",
    "user.set_password": "Set the password of a user; empty takes it away: the certificate alone proves the user then.",
}
NOT_ASKED = {"certificate.revoke": ("certificate",)}
"""Fields that are another way to name the item, which the page has named already."""
COLUMNS = {"key": ("name", "owner", "algorithm", "state", "created_us", "names", "kind", "changed_us", "length_bits")}
"""Columns of lists that do not stand as the operation has them."""
PLURAL_TITLES = {
    "Authorization policy": "Authorization policies",
    "Certificate authority": "Certificate authorities",
    "IP authorization entry": "IP authorization entries",
    "Key query": "Key queries",
    "Use of keys": "Use of keys",
}

TREE: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "Device",
        "Key server",
        ("section:key_server", "section:kmip", "section:xml", "section:xml_server", "noun:preset"),
    ),
    ("Device", "Lockout and health", ("section:user_lockout", "section:health", "section:metrics")),
    ("Device", "HSM", ("noun:module", "section:module")),
    ("Device", "Backup of HSM keys", ("noun:key_backup", "noun:drive", "section:key_backups")),
    ("Device", "Restore of HSM keys", ("noun:key_restore",)),
    ("Device", "Administrators", ("noun:administrator", "noun:api_token")),
    ("Device", "Password management", ("section:passwords",)),
    ("Device", "Multiple credentials", ("noun:approval", "noun:credential", "section:multiple_credentials")),
    ("Device", "Remote administration", ("section:sessions", "section:web", "section:ssh", "noun:ssh")),
    ("Device", "Network", ("noun:ip_authorization", "noun:ip_entry")),
    ("Device", "Log viewer", ("noun:audit", "noun:key_use")),
    ("Device", "Maintenance", ("noun:node", "section:store")),
    (
        "Security",
        "Keys",
        ("noun:key", "noun:key_version", "noun:query", "noun:key_attribute", "noun:policy", "section:keys"),
    ),
    ("Security", "Certificates", ("noun:certificate",)),
    ("Security", "Local authentication", ("noun:user", "noun:group")),
    ("Security", "Authorities", ("noun:authority", "noun:trust_profile")),
    ("Security", "Advanced security", ("section:legacy",)),
)
"""(tab, heading, leaves); what no line names stands in the last place of the tab Device."""
TABS = ("Device", "Security")
REST = "Others"


@dataclass(frozen=True, slots=True)
class Verb:
    """Something that can be done: an operation with its form.

    Attributes:
        noun: Of the declaration's name.
        name: The rest of it.
        title: For people.
        route: Where REST has it, with its fields.
        item_field: Field that names the item; "" = it concerns none.
    """

    noun: str
    name: str
    title: str
    route: Route
    item_field: str

    @property
    def fields(self) -> tuple[Field, ...]:
        """Every field, as declared."""
        return fields_of(self.route.declaration.request)

    @property
    def asked(self) -> tuple[Field, ...]:
        """Fields that its form has."""
        left_out = NOT_ASKED.get(self.route.declaration.name, ())
        return tuple(field for field in self.fields if field.name != self.item_field and field.name not in left_out)

    @property
    def about(self) -> str:
        """What it does, in a sentence."""
        declaration = self.route.declaration
        return ABOUT.get(declaration.name) or for_people(summary_of(declaration.request))

    @property
    def is_destructive(self) -> bool:
        """Whether it has a page of warning instead of a plain form."""
        return self.route.is_destructive

    @property
    def is_reading(self) -> bool:
        """Whether it changes nothing and says all by itself."""
        return self.route.method == "GET"

    @property
    def ends_item(self) -> bool:
        """Whether the item is gone afterwards."""
        return self.route.method == "DELETE" and self.route.path.endswith(f"{{{self.item_field}}}") and not self.second

    @property
    def needs_more(self) -> bool:
        """Whether something besides the item has to be filled in."""
        return any(field.required for field in self.asked)

    @property
    def second(self) -> tuple[Field, ...]:
        """Fields in the path behind the item."""
        return tuple(field for field in self.route.in_path if field.name != self.item_field)

    @property
    def path(self) -> str:
        """Of its form."""
        return f"{path_of(self.noun)}/do/{self.name.replace('_', '-')}"

    def is_open(self, access: Access) -> bool:
        """Tell whether an administrator with this access may ask for it."""
        wanted = self.route.declaration.administrator
        return wanted is not None and not wanted & ~access

    @property
    def shows_secret(self) -> bool:
        """Whether its answer can be seen only once."""
        answer = self.route.answer
        return answer not in (None, str, bool) and any(field.type is Secret for field in _fields(answer))


@dataclass(frozen=True, slots=True)
class Noun:
    """Things of one kind.

    Attributes:
        name: As declarations have it.
        title: Of one.
        list: Operation that lists them; None = there is one thing only.
        show: Operation that shows one.
        verbs: All others.
    """

    name: str
    title: str
    list: Verb | None
    show: Verb | None
    verbs: tuple[Verb, ...]

    @property
    def plural(self) -> str:
        """Title of all."""
        return self.title if self.list is None else PLURAL_TITLES.get(self.title, f"{self.title}s")

    @property
    def path(self) -> str:
        """Of its page."""
        return path_of(self.name)

    @property
    def columns(self) -> tuple[Field, ...]:
        """Fields of the list's items, in the order of the list's columns."""
        fields = () if self.list is None else fields_of(self.list.route.item)
        first = COLUMNS.get(self.name, ())
        return tuple(sorted(fields, key=lambda field: first.index(field.name) if field.name in first else len(first)))

    @property
    def key(self) -> str:
        """Field of the list that names an item."""
        return "" if self.list is None else fields_of(self.list.route.item)[0].name

    @property
    def of_all(self) -> tuple[Verb, ...]:
        """Verbs that concern no item, those that make one first."""
        return tuple(verb for verb in self.verbs if not verb.item_field)

    @property
    def of_item(self) -> tuple[Verb, ...]:
        """Verbs that concern an item, destructive ones last."""
        found = [verb for verb in self.verbs if verb.item_field]
        return tuple(sorted(found, key=lambda verb: (verb.ends_item, verb.is_destructive)))

    @property
    def told_with_item(self) -> tuple[Verb, ...]:
        """Verbs that only read and need nothing but the item: their answers stand on its page."""
        return tuple(verb for verb in self.of_item if verb.is_reading and len(verb.fields) == 1)

    @property
    def ending(self) -> Verb | None:
        """The verb that ends several items at once, as it needs nothing but their names; None = there is none."""
        return next((verb for verb in self.of_item if verb.ends_item and not verb.needs_more), None)

    def is_open(self, access: Access) -> bool:
        """Tell whether an administrator with this access may see its page."""
        first = self.list or self.show
        return first is None or first.is_open(access)


@dataclass(frozen=True, slots=True)
class Leaf:
    """An entry of the navigation."""

    title: str
    path: str


@cache
def nouns() -> dict[str, Noun]:
    """Return every noun by name."""
    found: dict[str, list[Route]] = defaultdict(list)
    for route in routes():
        if route.declaration.name not in BY_HAND:
            found[route.declaration.name.split(".")[0]].append(route)
    return {name: _noun(name, held) for name, held in sorted(found.items())}


def path_of(noun: str) -> str:
    """Return the path of a noun's page."""
    return "/" + (noun if noun in SINGLE else PLURALS.get(noun, f"{noun}s")).replace("_", "-")


def by_path(place: str) -> Noun | None:
    """Return the noun whose page has this path, without the slash."""
    return next((noun for noun in nouns().values() if noun.path == f"/{place}"), None)


def verb_of(noun: Noun, word: str) -> Verb | None:
    """Return the verb that the path names."""
    return next((verb for verb in noun.verbs if verb.name.replace("_", "-") == word), None)


def tree(tab: str, access: Access) -> list[tuple[str, list[Leaf]]]:
    """Return the navigation of a tab, as far as an administrator with this access may go there."""
    found = []
    for its_tab, heading, leaves in places():
        shown = [leaf for word in leaves if (leaf := _leaf(word, access)) is not None]
        if its_tab == tab and shown:
            found.append((heading, shown))
    return found


@cache
def places() -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """Return the tree with what it does not name."""
    named = {leaf for _, _, leaves in TREE for leaf in leaves}
    all_leaves = [f"noun:{name}" for name in nouns()] + [f"section:{name}" for name in sorted(SECTIONS)]
    others = tuple(leaf for leaf in all_leaves if leaf not in named)
    return (*TREE, (TABS[0], REST, others)) if others else TREE


def tab_of(path: str) -> str:
    """Return the tab that a page belongs to, "" = none."""
    for tab, _, leaves in places():
        for word in leaves:
            place = _path(word)
            if place and (path == place or path.startswith(f"{place}/")):
                return tab
    return ""


def words(name: str) -> str:
    """Return a name of the code as people read it: "revoked_s" is "Revoked"."""
    for unit in ("_us", "_s"):
        name = name.removesuffix(unit) if not name.endswith(("duration_s", "uptime_s", "age_s")) else name
    name = name.removeprefix("is_").removesuffix("_count").replace("_", " ")
    text = name[:1].upper() + name[1:]
    return _ABBREVIATED.sub(lambda found: found[0].upper(), text)


def for_people(sentence: str) -> str:
    """Return a sentence of the code without marks of code and ids of requirements."""
    return _ROW_IDS.sub("", sentence).replace('""', "empty").replace("`", "")


_ROW_IDS = re.compile(r"\s*\((?:KS|AMB|LEG)-[^)]*\)")
_ABBREVIATED = re.compile(r"\b(id|pem|pid|ip|tls|kmip|ca)\b", re.IGNORECASE)


def _noun(name: str, held: list[Route]) -> Noun:
    lists = [route for route in held if route.is_list and route.path.count("/") == 1]
    key = fields_of(lists[0].item)[0].name if lists else ""
    found = [_verb(name, key, route) for route in held]
    listing = next((verb for verb in found if lists and verb.route is lists[0]), None)
    single = f"{name}.show" if listing is not None else ""
    show = next((verb for verb in found if _is_show(verb, single, is_single=listing is None)), None)
    verbs = [verb for verb in found if verb not in (listing, show)]
    verbs.sort(key=lambda verb: (verb.name not in MAKING, verb.is_destructive, verb.title))
    return Noun(name, TITLES.get(name, words(name)), listing, show, tuple(verbs))


def _is_show(verb: Verb, single: str, *, is_single: bool) -> bool:
    if is_single:
        return verb.route.method == "GET" and verb.route.path.count("/") == 1 and not verb.fields
    return verb.route.declaration.name == single and verb.route.answer is not str and bool(verb.item_field)


def _verb(noun: str, key: str, route: Route) -> Verb:
    full = route.declaration.name
    name = full.split(".")[1]
    return Verb(noun, name, TITLES.get(full, words(name)), route, _item_field(key, route))


def _item_field(key: str, route: Route) -> str:
    if not key or route.declaration.name.split(".")[1] in MAKING:
        return ""
    if route.in_path:
        return route.in_path[0].name
    optional = [field.name for field in fields_of(route.declaration.request) if not field.required]
    return key if key in optional and not route.is_list else ""


def _fields(answer: Any) -> tuple[Field, ...]:
    return fields_of(answer) if isinstance(answer, type) and hasattr(answer, "__annotations__") else ()


def _section_title(declared: type[Section]) -> str:
    taken = {noun.plural for noun in nouns().values()}
    return f"{declared.title}: settings" if declared.title in taken else declared.title


def _path(word: str) -> str:
    kind, _, name = word.partition(":")
    if kind == "section":
        return f"/settings/{name}" if name in SECTIONS else ""
    return path_of(name)


def _leaf(word: str, access: Access) -> Leaf | None:
    kind, _, name = word.partition(":")
    if kind == "section":
        declared: type[Section] | None = SECTIONS.get(name)
        return None if declared is None else Leaf(_section_title(declared), _path(word))
    noun = nouns().get(name)
    return Leaf(noun.plural, noun.path) if noun is not None and noun.is_open(access) else None
