"""News fragments are named so that a release can gather them, and short enough to be read."""

import re

from tests.surface.sources import ROOT

FOLDER = ROOT / "newsfragments"
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\.(added|changed|removed|fixed|security)\.md")
ABOUT = {"README.md", "TEMPLATE.md"}
WORDS_MAX = 150


def test_fragments_are_named_by_subject_and_kind() -> None:
    assert not [path.name for path in FOLDER.iterdir() if path.name not in ABOUT and not NAME.fullmatch(path.name)]


def test_fragments_are_short() -> None:
    words = {path.name: len(path.read_text().split()) for path in FOLDER.glob("*.md") if path.name not in ABOUT}
    assert not {name: count for name, count in words.items() if not 0 < count <= WORDS_MAX}
