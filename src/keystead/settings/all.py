"""Imports every file of settings, so that all sections are declared: a new one takes its own file and nothing else."""

from importlib import import_module
from pkgutil import iter_modules

from keystead import settings
from keystead.settings.section import SECTIONS, parse

__all__ = ["SECTIONS", "parse"]

for _found in iter_modules(settings.__path__):
    import_module(f"{settings.__name__}.{_found.name}")
