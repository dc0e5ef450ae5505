"""What an object holds, whether its class is compiled or not."""

from typing import Any


def held_by(thing: object) -> list[Any]:
    """Return the values of every attribute of an object without a dictionary."""
    kind: Any = type(thing)
    names = [name for each in kind.__mro__ for name in getattr(each, "__mypyc_attrs__", getattr(each, "__slots__", ()))]
    return [getattr(thing, name) for name in names if hasattr(thing, name)]
