"""Collects what can be translated into src/keystead/locale, tells what still is not, and compiles the catalogues.

`./dev translate`; translations are written into the `.po` files by hand, then once more for the compiled ones. English
has a catalogue of its own, which says everything as it is: or who asks for English before German would get German.

Source: docs/adr/0095-translations.md.
"""

import io
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

SOURCES = Path(__file__).parents[1] / "src" / "keystead"
LOCALE = SOURCES / "locale"
DOMAIN = "keystead"
LANGUAGES = ("de", "en", "fr")
CHAPTERS = ("appliance", "clients/coordinator", "clients/secure_module", "custody/modules")
MODULES = ("clients/languages.py",)
SAID_BY = {"tr": None, "mark": None, "say": None, "warn": None}

# Chapters below that many programs share raise errors with constant sentences; these programs look them up at the door.
SHARED = ("trust/envelope.py", "trust/node_key.py", "trust/origins.py", "trust/sealing.py")
RAISED_BY = dict.fromkeys(("Invalid", "NotSupported", "Refused", "Tampered", "TooLarge"))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def messages() -> set[str]:
    """Return everything that the programs say to people and can be translated, in English."""
    return {str(found[1]) for found in _found()}


def _found() -> Iterator[tuple[int, object, list[str], object]]:
    for chapter in CHAPTERS:
        for path in sorted((SOURCES / chapter).rglob("*")):
            if path.suffix in {".py", ".html"}:
                yield from extract_from_file("python" if path.suffix == ".py" else "jinja2", path, SAID_BY)
    for name in MODULES:
        yield from extract_from_file("python", SOURCES / name, SAID_BY)
    for name in SHARED:
        yield from extract_from_file("python", SOURCES / name, RAISED_BY)


def po_file(language: str) -> Path:
    """Return where the translations of a language are written."""
    return LOCALE / language / "LC_MESSAGES" / f"{DOMAIN}.po"


def catalogue(language: str) -> Catalog:
    """Return what is translated to a language; empty when there is nothing yet."""
    path = po_file(language)
    text = path.read_bytes() if path.exists() else b""
    return read_po(io.BytesIO(text), locale=language, charset="utf-8")


def collected(language: str, wanted: set[str]) -> Catalog:
    """Return the catalogue of exactly what is wanted, with the translations that there are."""
    before, after = catalogue(language), _empty(language)
    for message in sorted(wanted):
        known = before.get(message)
        after.add(message, message if language == "en" else known.string if known else "")
    return after


def _empty(language: str) -> Catalog:
    """Return a catalogue whose head names no dates and no people, so that it changes with its messages only."""
    made = Catalog(language, project=DOMAIN, charset="utf-8", fuzzy=False)
    made.creation_date = made.revision_date = _EPOCH
    made.last_translator = made.language_team = made.msgid_bugs_address = ""
    return made


def main(argv: Sequence[str]) -> int:
    """Write all catalogues. Returns 1 when something is not translated yet."""
    if argv:
        print("translate takes no arguments", file=sys.stderr)
        return 2
    wanted, is_complete = messages(), True
    for language in LANGUAGES:
        chosen, path = collected(language, wanted), po_file(language)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            write_po(file, chosen, width=118, omit_header=True)
        with path.with_suffix(".mo").open("wb") as file:
            write_mo(file, chosen)
        missing = [message.id for message in chosen if message.id and not message.string]
        is_complete = is_complete and not missing
        print(f"{language}: {len(wanted) - len(missing)} of {len(wanted)} messages")
        for message in missing:
            print(f"  not translated: {message}")
    return 0 if is_complete else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
