"""Folders that earlier versions left are opened, served and sound under this code (tools/make_folder_fixture.py)."""

import json
import ssl
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.node import production
from tests.support.dev_node import DevNode
from tests.support.kmip import messages
from tests.support.kmip.sessions import Client, Refused, Session

FOLDERS = Path(__file__).parents[1] / "fixtures" / "folders"
VERSIONS = sorted(folder.name for folder in FOLDERS.iterdir())
OPAQUE_DATA_VALUE = 0x42005A
NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME: the server certificate of a fixture is not renewed


class LateClient(Client):
    """A client that looks past the dates of the server's certificate."""

    def context(self) -> ssl.SSLContext:
        context = super().context()
        context.verify_flags |= NO_CHECK_TIME
        return context


@dataclass(frozen=True)
class Left:
    """A folder as it was left: where it is unpacked, and what its objects held."""

    kind: str
    folder: Path
    objects: list[dict[str, Any]]

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @contextmanager
    def serving(self) -> Iterator[int]:
        """Serve it, unlocked; yields the port."""
        if self.kind == "dev":
            node = DevNode(self.folder)
            node.start()
            try:
                yield node.port
            finally:
                node.stop()
        else:
            with production.serving(self.data) as ports:
                assert production.unlock(self.data).returncode == 0
                yield ports["kmip"]

    def session(self, port: int, user: str) -> Session:
        """With a certificate of today, as those of the fixture expire."""
        out = self.folder / f"{user}-now"
        ca = self.folder / "ca.pem"
        done = production.keystead("client-certificate", user, "--out", out, "--ca", ca, "--data", self.data)
        assert done.returncode == 0, done.stderr
        return Session(port, LateClient(out.with_suffix(".pem"), out.with_suffix(".key"), ca))


@pytest.fixture(params=[(version, kind) for version in VERSIONS for kind in ("dev", "production")], ids="-".join)
def left(request: pytest.FixtureRequest, tmp_path: Path) -> Left:
    version, kind = request.param
    with tarfile.open(FOLDERS / version / f"{kind}.tar.xz") as packed:
        safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        packed.extractall(tmp_path, **safely)  # type: ignore[arg-type]  # older Pythons have no filter
    return Left(kind, tmp_path, json.loads((FOLDERS / version / f"{kind}.json").read_text()))


def is_sound(data: Path) -> bool:
    return production.keystead("verify", "--data", data).returncode == 0


def value(session: Session, identifier: str) -> str | None:
    try:
        reply = session.ask(messages.get(identifier))
    except Refused:
        return None
    found = [*reply.find(messages.KEY_MATERIAL), *reply.find(OPAQUE_DATA_VALUE)]
    assert isinstance(found[0].value, bytes)
    return found[0].value.hex()


def test_every_object_is_there_and_the_stores_are_sound(left: Left) -> None:
    assert is_sound(left.data)
    with left.serving() as port:
        with left.session(port, "alice") as alice, left.session(port, "bob") as bob:
            users = {"alice": alice, "bob": bob}
            got = [{**held, "value": value(users[held["user"]], held["id"])} for held in left.objects]
            granted = next(held for held in left.objects if held["what"] == "granted" and held["user"] == "alice")
            hidden = next(held for held in left.objects if held["what"] == "created" and held["user"] == "alice")
            assert (value(bob, granted["id"]), value(bob, hidden["id"])) == (granted["value"], None)
            made = alice.identifier(messages.create("of today"))
            assert value(alice, made)
        assert got == left.objects
    assert is_sound(left.data)
