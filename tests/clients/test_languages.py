"""The programs of chapter CA in the language of who starts them, through their whole story."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from keystead.core.secret import Secret
from tests.support.secure_modules import USER, Fleet, fleet

SAID = {
    "de": {
        "set up": "eingerichtet mit einem neuen Schlüssel",
        "plugged in": "eingesteckt",
        "help": "ein Modul in einem Ordner herstellen",
        "usage": "Aufruf: ",
        "required": "diese Angaben fehlen",
        "waiting": "Ziel TARGET - wartet",
        "cloned": "✓ Ziel TARGET - geklont",
        "sum": "1 von 1 geklont.",
        "wrong": "die PIN ist falsch; verbleibende Versuche: 9",
        "locked": "das Modul ist gesperrt; entsperren Sie es zuerst mit seiner PIN",
        "state": "entsperrt",
    },
    "fr": {
        "set up": "initialisé avec une nouvelle clé",
        "plugged in": "branché",
        "help": "fabriquer un module dans un dossier",
        "usage": "usage : ",
        "required": "les arguments suivants manquent",
        "waiting": "Cible TARGET - en attente",
        "cloned": "✓ Cible TARGET - clonée",
        "sum": "1 sur 1 clonés.",
        "wrong": "le PIN est faux ; essais restants : 9",
        "locked": "le module est verrouillé ; déverrouillez-le d'abord avec son PIN",
        "state": "déverrouillé",
    },
}


@pytest.fixture(params=["de", "fr"])
def abroad(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    monkeypatch.setenv("LANGUAGE", request.param)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    with fleet(tmp_path / "fleet") as made:
        yield made


@pytest.mark.row("CA-030")
def test_a_cloning_speaks_the_language_of_who_starts_it(abroad: Fleet) -> None:
    said = SAID[os.environ["LANGUAGE"]]
    abroad.make("SOURCE")
    assert said["set up"] in abroad.own("SOURCE", "set-up", "--pin-file", abroad.pin_file(Secret(b"7340182659"))).stdout
    assert said["plugged in"] in (abroad.folder / "SOURCE.log").read_text()
    abroad.own("SOURCE", "cloning", "on")
    abroad.make("TARGET")
    state = abroad.enrol()
    pin = ("--pin-file", abroad.coordinator_pin)
    told = abroad.coordinator("start", state, "--hub", str(abroad.hub), "--source", "SOURCE", *pin).stdout
    assert said["waiting"] in told
    assert said["cloned"] in told
    assert told.splitlines()[-1] == said["sum"]
    assert said["state"] in abroad.own("SOURCE", "status").stdout
    assert said["locked"] in abroad.own("TARGET", "cloning", "on", check=False).stderr
    assert said["wrong"] in abroad.own("TARGET", "unlock", "--pin-file", abroad.pin_file(USER), check=False).stderr


@pytest.mark.row("CA-030")
def test_help_and_wrong_arguments_are_told_in_that_language(abroad: Fleet) -> None:
    said = SAID[os.environ["LANGUAGE"]]
    helped = abroad.module("--help").stdout
    assert helped.startswith(said["usage"])
    assert said["help"] in " ".join(helped.split())
    assert said["required"] in abroad.coordinator("register", "nowhere", check=False).stderr


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"LANGUAGE": "en:de"}, "usage: "),  # who asks for English first gets it
        ({"LANGUAGE": "nl:de"}, "Aufruf: "),  # the first language that there is
        ({"LANGUAGE": "nl"}, "usage: "),
        ({"LANGUAGE": "", "LC_ALL": "de_AT.UTF-8"}, "Aufruf: "),
        ({"LANGUAGE": "", "LC_ALL": "C"}, "usage: "),
        ({"LANGUAGE": "../../de"}, "usage: "),
        ({"LANGUAGE": "", "LC_ALL": "fr_FR.ISO-8859-1", "PYTHONIOENCODING": "ascii"}, "usage : "),
    ],
)
def test_who_speaks_another_language_gets_english(
    variables: dict[str, str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with fleet(tmp_path / "fleet") as made:
        assert made.module("--help").stdout.startswith(expected)


def test_a_page_is_in_that_language(tmp_path: Path) -> None:
    """Drawn in a process of its own, since a language is chosen once in a process."""
    code = (
        "import sys; from pathlib import Path; from keystead.clients.languages import begin; begin()\n"
        "from keystead.clients.coordinator import page, relay, registry\n"
        "made = page.Page(registry.Registry(Path(sys.argv[1])), relay.Hub(Path(sys.argv[1])), 0)\n"
        "print(made.drawn('login', 'PIN'))"
    )
    with fleet(tmp_path / "fleet") as made:
        drawn = made.python(code, str(tmp_path), LANGUAGE="de")
    assert '<html lang="de">' in drawn
    assert "PIN des Koordinators" in drawn
    assert not re.search(r">Open<", drawn)
