"""docs/adding-an-operation.md shows a file as it is, and says the truth about what is drawn from it."""

import re
from pathlib import Path

import keystead.operations.all  # noqa: F401  # declares every operation
from keystead.operations.expiring_certificates import ListExpiring
from keystead.protocols.local.wire import declaration_of
from keystead.protocols.rest.routes import route_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "adding-an-operation.md").read_text()


def test_the_page_shows_the_file_as_it_is() -> None:
    (file,) = re.findall(r"^`(src/\S+\.py)`:$", PAGE, re.MULTILINE)
    shown = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0]
    assert shown == (ROOT / file).read_text()


def test_no_other_file_of_ours_names_the_operation() -> None:
    named = [
        path.name
        for path in (ROOT / "src").rglob("*.py")
        if "expiring_certificate" in path.read_text() or "ListExpiring" in path.read_text()
    ]
    assert named == ["expiring_certificates.py"]


def test_the_operation_has_its_route() -> None:
    declaration = declaration_of("expiring_certificate.list")
    route = route_of(declaration)
    assert declaration.request is ListExpiring
    assert route is not None
    assert (route.method, route.path, route.is_list) == ("GET", "/expiring-certificates", True)


def test_the_setting_of_the_page_is_declared_so() -> None:
    (line,) = re.findall(r"```python\n(idle_minutes.*)\n```", PAGE)
    assert f"    {line}\n" in (ROOT / "src" / "keystead" / "settings" / "web.py").read_text()
