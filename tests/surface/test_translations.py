"""What the programs of chapter CA say to people can be translated, and is: all of it, in every language."""

import ast
import gettext
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from keystead.clients.languages import CATALOGUES, DOMAIN
from keystead.core import errors
from tests.surface.sources import PACKAGE, ROOT, place, python_files, tree
from tools.translate import CHAPTERS, LANGUAGES, MODULES, SAID_BY, catalogue, messages

ERRORS = {cls.__name__ for cls in errors.ERROR_CLASSES}
TOLD = {"clients/coordinator", "clients/secure_module", "custody/modules"}
TRANSLATED = [language for language in LANGUAGES if language != "en"]
MANUALS = [ROOT / "docs" / f"cloning.{language}.md" for language in TRANSLATED]
PERCENT = re.compile(r"%\(\w+\)[rs]|%[rs]")


def calls(*chapters: str) -> Iterator[tuple[Path, ast.Call, str]]:
    """Every call, with the last part of the name that is called."""
    for path in python_files(*(f"src/keystead/{chapter}" for chapter in chapters)):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                yield path, node, node.func.id if isinstance(node.func, ast.Name) else node.func.attr


def is_translated(node: ast.expr) -> bool:
    """Whether it is a call that translates, or something that was translated elsewhere."""
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in {*SAID_BY, "str"}
    return isinstance(node, ast.Name)


@pytest.mark.row("CA-030")
def test_no_error_or_help_of_these_programs_is_said_in_english_only() -> None:
    found = []
    for path, node, name in calls(*TOLD):
        if name in ERRORS and not is_translated(node.args[0]):
            found.append(place(path, node.lineno))
        if name == "print" and any(isinstance(each, ast.Constant) for each in node.args):
            found.append(place(path, node.lineno))
        shown = [each.value for each in node.keywords if each.arg in {"help", "description"}]
        found += [place(path, each.lineno) for each in shown if not is_translated(each)]
    assert found == []


def test_every_message_that_is_said_is_collected() -> None:
    """Also those in places where the collecting library does not look, such as inside of an f-string."""
    known = messages()
    found = []
    for path, node, name in calls(*CHAPTERS, *MODULES):
        if name in SAID_BY and isinstance(node.args[0], ast.Constant) and node.args[0].value not in known:
            found.append(place(path, node.lineno))
    assert found == []


def test_pages_say_nothing_that_is_not_translated() -> None:
    text = (PACKAGE / "clients" / "coordinator" / "page.html").read_text()
    bare = re.sub(r"\{[{%].*?[%}]\}|<[^>]*>", " ", text)
    assert re.findall(r"\w{2,}", bare) == []


def fields_of(message: str) -> set[str]:
    named = {f"{name}!{conversion}:{form}" for _, name, form, conversion in string.Formatter().parse(message) if name}
    return named | set(PERCENT.findall(message))


@pytest.mark.row("CA-030")
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_catalogue_is_whole_and_compiled(language: str) -> None:
    translated = {str(message.id): str(message.string) for message in catalogue(language) if message.id}
    assert translated.keys() == messages(), "run ./dev translate"
    compiled = gettext.translation(DOMAIN, CATALOGUES, [language])
    for message, said in translated.items():
        assert said, message
        assert compiled.gettext(message) == said, "run ./dev translate"
        assert fields_of(said) == fields_of(message), message
        assert message.endswith("\n") == said.endswith("\n"), message
    if language != "en":
        assert sum(said != message for message, said in translated.items()) > 0.9 * len(translated)


@pytest.mark.row("CA-030")
@pytest.mark.parametrize("manual", MANUALS, ids=lambda path: str(path.name))
def test_the_manual_exists_in_every_language_with_the_same_commands(manual: Path) -> None:
    def commands(path: Path) -> list[str]:
        lines = [line for line in path.read_text().splitlines() if line.startswith("    keystead-")]
        return [line.split("#")[0].rstrip() for line in lines]

    def quoted(path: Path) -> set[str]:
        return set(re.findall(r"`([^`]+)`", path.read_text()))

    english = ROOT / "docs" / "cloning.md"
    assert len(commands(english)) > 8
    assert commands(manual) == commands(english)
    assert quoted(manual) <= quoted(english) | {"LANG=de_DE.UTF-8", "LANG=fr_FR.UTF-8"}
    assert manual.name in english.read_text()
