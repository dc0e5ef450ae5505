"""Imports every file of operations, so that all of them are declared: a new one takes its own file and nothing else."""

from importlib import import_module
from pkgutil import iter_modules

from keystead import operations

for _found in iter_modules(operations.__path__):
    import_module(f"{operations.__name__}.{_found.name}")
