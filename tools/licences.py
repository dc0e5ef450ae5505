"""The licence gate: what keystead needs at run time must be under a licence that Apache-2.0 may be shipped with.

Judges the distributions named in requirements/runtime.txt by their installed metadata. Those that only development
needs are never shipped; with --report they are listed with their licences.
"""

import re
import sys
from importlib import metadata
from pathlib import Path

from packaging.markers import Marker
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==[^\s;]+(?:\s*;\s*(?P<marker>[^\\]+))?", re.MULTILINE)

ALLOWED = {
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "PSF-2.0",
    "Unlicense",
    "Zlib",
}
# Older metadata says it in words, of which one classifier is the most exact.
CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Public Domain": "LicenseRef-Public-Domain",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "zlib/libpng License": "Zlib",
}


def pinned(lock: Path) -> set[str]:
    """Canonical names of the distributions that the lock pins for this platform."""
    pins = PIN.finditer(lock.read_text())
    return {
        canonicalize_name(pin["name"])
        for pin in pins
        if pin["marker"] is None or Marker(pin["marker"].strip()).evaluate()
    }


def licence_of(name: str) -> str:
    """A licence expression; empty when the distribution says nothing."""
    about = metadata.metadata(name).json
    if "license_expression" in about:
        return str(about["license_expression"])
    classifiers = [str(line).rsplit(" :: ", 1)[-1] for line in about.get("classifier", ())]
    known = [CLASSIFIERS[classifier] for classifier in classifiers if classifier in CLASSIFIERS]
    return " OR ".join(known) or str(about.get("license", "")).split("\n", 1)[0] or _of_file(name)


def _of_file(name: str) -> str:
    """What the heading of the distribution's licence file says; empty when there is none that is known."""
    heading = (metadata.distribution(name).read_text("licenses/LICENSE") or "").split("\n", 1)[0].strip()
    return CLASSIFIERS.get(heading, "")


def is_allowed(expression: str) -> bool:
    """Whether one choice, or every part, of the expression is allowed. What this does not understand is not."""
    if " OR " in expression and " AND " in expression:
        return False
    parts = re.split(" OR | AND ", expression.replace("(", "").replace(")", ""))
    enough = any if " OR " in expression else all
    return enough(part.strip() in ALLOWED for part in parts)


def main(arguments: list[str]) -> int:
    shipped = pinned(ROOT / "requirements/runtime.txt")
    refused = {name: licence for name in sorted(shipped) if not is_allowed(licence := licence_of(name))}
    for name, licence in refused.items():
        print(
            f"{name}: '{licence}' is not among {', '.join(sorted(ALLOWED))}. Take another library, or make it an extra."
        )
    if "--report" in arguments:
        for name in sorted(pinned(ROOT / "requirements/dev.txt") - shipped):
            print(f"development only: {name}: {licence_of(name)}")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
