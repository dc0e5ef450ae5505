"""Takes compiled modules instead of their sources, where a build of exactly these sources exists (docs/adr/0007).

Law: an edited source is never shadowed by an old build. The build's manifest has the digest of every source; if one
differs, or was made for another interpreter, everything runs from the sources.

Source: docs/adr/0007; `tools/accelerate.py` makes the build.
"""

import hashlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "KEYSTEAD_ACCELERATION"
"""Set to "off": run from the sources."""

PACKAGE = Path(__file__).parent
BUILD = PACKAGE.parents[1] / ".accelerated"
MANIFEST = "manifest.json"


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = files

    def find_spec(
        self, fullname: str, _path: object = None, _target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        file = self._files.get(fullname)
        return None if file is None else importlib.util.spec_from_file_location(fullname, file)


def compiled_count() -> int:
    """Return how many modules of this process run compiled."""
    held = [module for name, module in sys.modules.items() if name.startswith("keystead.")]
    return sum((getattr(module, "__file__", None) or "").endswith(".so") for module in held)


def digest_of(source: Path) -> str:
    """Return what a manifest says of a source."""
    return hashlib.sha256(source.read_bytes()).hexdigest()


def compiled(build: Path = BUILD) -> dict[str, Path]:
    """Return the compiled modules that may stand for their sources, by name; none if one source is another."""
    try:
        manifest = json.loads((build / MANIFEST).read_text())
        is_current = manifest["interpreter"] == interpreter() and all(
            digest_of(PACKAGE / source) == digest for source, digest in manifest["sources"].items()
        )
        files = {name: build / file for name, file in manifest["files"].items()}
        return files if is_current and all(file.is_file() for file in files.values()) else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # whatever somebody has put there
        return {}


def interpreter() -> str:
    """Return what a build must have been made for."""
    return f"{sys.implementation.cache_tag} {sys.version.split()[0]}"


def install() -> None:
    """Let imports that follow take the compiled modules, unless that is switched off."""
    if os.environ.get(VARIABLE) != "off":
        files = compiled()
        if files:
            sys.meta_path.insert(0, _Finder(files))
