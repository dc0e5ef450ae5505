"""Ways that lead on from a list or an item to pages that were made by hand. Pure.

Source: requirement KS-UI-016, 019.
"""

from urllib.parse import quote

from keystead.core.permission import Access

Way = tuple[str, str]
"""(title, path)."""

_OF_LIST: dict[str, tuple[tuple[str, str, Access], ...]] = {
    "user": (("New client's certificate", "/new-client", Access.CERTIFICATES),),
    "certificate": (("New client's certificate", "/new-client", Access.CERTIFICATES),),
    "key": (("New key", "/new-key", Access.KEYS),),
    "administrator": (("Lost password, or gone", "/lost-administrator", Access.HIGH_ACCESS),),
}
_OF_ITEM: dict[str, tuple[tuple[str, str, Access], ...]] = {
    "user": (
        ("New client's certificate", "/new-client?user={}", Access.CERTIFICATES),
        ("Certificates", "/certificates?user={}", Access.ANY),
        ("Keys", "/keys?owner={}", Access.KEYS),
        ("New key", "/new-key?user={}", Access.KEYS),
    ),
    "key": (
        ("Who may use it", "/key-rights?item={}", Access.KEYS),
        ("Who used it", "/key-uses?key={}", Access.KEYS | Access.LOGGING),
    ),
    "administrator": (("Lost password, or gone", "/lost-administrator?name={}", Access.HIGH_ACCESS),),
}


def ways_of_list(noun: str, access: Access) -> list[Way]:
    """Return the ways from the list of a noun that are open with this access."""
    return [(title, path) for title, path, wanted in _OF_LIST.get(noun, ()) if not wanted & ~access]


def ways_of_item(noun: str, name: str, access: Access) -> list[Way]:
    """Return the ways from an item that are open with this access."""
    place = quote(name, safe="")
    return [(title, path.format(place)) for title, path, wanted in _OF_ITEM.get(noun, ()) if not wanted & ~access]
