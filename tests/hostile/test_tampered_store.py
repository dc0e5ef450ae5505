"""Whoever can write to the stopped node's files changes nothing unnoticed: `keystead verify` names each row.

Attack classes 31 (gaps and edits in the audit trail), 38 (hostile rows) and 43 (rollback). tests/storage/test_verify.py
shows the same for the store alone; here are a whole node's files, its command, and what the node does when it serves
them all the same.
"""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from keystead.__main__ import main
from keystead.storage.attribute_index import ListingRow, place_of
from tests.hostile.certificates import Authority, authority_of, stranger
from tests.hostile.doors import at_door
from tests.hostile.sockets import is_served, process, said
from tests.support.dev_node import DevNode, NotReady
from tests.support.kmip import messages
from tests.support.kmip.sessions import Refused

GENERAL_FAILURE = 0x100
KEYS_COUNT = 6
ADD_ATTRIBUTE = 0x0D
Damage = Callable[["Files"], None]


@dataclass(frozen=True)
class Furnished:
    """A stopped node with a past.

    Attributes:
        node: Stopped; its folder is copied, never changed.
        keys: Ids of alice's keys, active.
        before: Its folder before the last changes: all keys had another name, the first one more was not destroyed.
        destroyed: Id of a key that was destroyed after `before`.
        forger: A CA that calls itself like the node's.
    """

    node: DevNode
    keys: tuple[str, ...]
    before: Path
    destroyed: str
    forger: Authority


@dataclass(frozen=True)
class Files:
    """A copy of the stopped node's folder, for damage."""

    data: Path
    past: Furnished

    def change(self, statement: str, *values: object, file: str = "store.db") -> None:
        """Run a statement that changes something."""
        with closing(sqlite3.connect(self.data / file)) as connection:
            connection.execute("ATTACH ? AS before", (str(self.past.before / file),))
            assert connection.execute(statement, values).rowcount > 0
            connection.commit()

    def key(self, number: int) -> bytes:
        return stored(self.past.keys[number])


def stored(identifier: str) -> bytes:
    """An id as it stands in its row."""
    return bytes.fromhex(identifier.replace("-", ""))


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Furnished:
    folder = tmp_path_factory.mktemp("tampered")
    node = DevNode(folder)
    node.start()
    forger = stranger(authority_of(node, tmp_path_factory.mktemp("forger")))
    with node.session() as session:
        keys = tuple(session.identifier(messages.create(f"first {number}")) for number in range(KEYS_COUNT))
        destroyed = session.identifier(messages.create("doomed"))
        for key in keys:
            session.ask(messages.activate(key))
    node.stop()
    before = folder / "before"
    shutil.copytree(node.data, before)
    node.start()
    with node.session() as session:
        for key in keys:
            session.ask(messages.request(ADD_ATTRIBUTE, named(key), messages.custom_attribute("x-Later", "yes")))
        session.ask(messages.destroy(destroyed))
    at_door(node, "user.disable", name="bob", disabled=True)
    at_door(node, "user.disable", name="bob", disabled=False)
    node.stop()
    return Furnished(node, keys, before, destroyed, forger)


def named(key: str) -> bytes:
    return messages.text(messages.UNIQUE_IDENTIFIER, key)


@pytest.fixture
def files(past: Furnished, tmp_path: Path) -> Files:
    copy = tmp_path / "data"
    shutil.copytree(past.node.data, copy)
    return Files(copy, past)


# -- damage ----------------------------------------------------------------------------------------------------------


def flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def edit(column: str, table: str = "records", where: str = "id = ?", *, file: str = "store.db") -> Damage:
    """Flip a bit of a column of the first key's row."""

    def damage(files: Files) -> None:
        values = (files.key(0),) if "?" in where else ()
        with closing(sqlite3.connect(files.data / file)) as connection:
            (old,) = connection.execute(f"SELECT {column} FROM {table} WHERE {where}", values).fetchone()
            new = flipped(old) if isinstance(old, bytes) else old + 1
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (new, *values))
            connection.commit()

    return damage


def swap(*columns: str) -> Damage:
    """Exchange columns of the first and the second key."""

    def damage(files: Files) -> None:
        one, other = files.key(0), files.key(1)
        names = ", ".join(columns)
        with closing(sqlite3.connect(files.data / "store.db")) as connection:
            select = f"SELECT {names} FROM records WHERE id = ?"
            rows = {key: connection.execute(select, (key,)).fetchone() for key in (one, other)}
            for key, source in ((one, other), (other, one)):
                assignments = ", ".join(f"{column} = ?" for column in columns)
                connection.execute(f"UPDATE records SET {assignments} WHERE id = ?", (*rows[source], key))
            connection.commit()

    return damage


def delete(table: str, where: str) -> Damage:
    return lambda files: files.change(f"DELETE FROM {table} WHERE {where}", *([files.key(0)] if "?" in where else []))


def insert(files: Files) -> None:
    """A record under an id that nobody made."""
    files.change(
        "INSERT INTO records SELECT kind, ?, realm, 'another', revision, at_us, next_us, document, mac, sealed "
        "FROM records WHERE id = ?",
        bytes(16),
        files.key(0),
    )


def roll_back(files: Files) -> None:
    """An authentic earlier revision of one record."""
    files.change("REPLACE INTO records SELECT * FROM before.records WHERE id = ?", files.key(0))


def raise_the_dead(files: Files) -> None:
    """A destroyed key with its material, as it once was."""
    files.change("REPLACE INTO records SELECT * FROM before.records WHERE id = ?", stored(files.past.destroyed))


def show_to_bob(files: Files) -> None:
    """Rows of alice's index under what bob's searches look at."""
    others = ", ".join(ListingRow._fields[2:])
    statement = (
        f"INSERT INTO listing (place, object, {others}) SELECT ?, object, {others} FROM listing WHERE object = ?"
    )
    files.change(statement, place_of("root", "u:bob", 0), files.key(0))


OBJECT = "object"
DAMAGE: dict[str, tuple[Damage, str]] = {
    "edited document": (edit("document"), OBJECT),
    "edited revision": (edit("revision"), OBJECT),
    "edited mac": (edit("mac"), OBJECT),
    "edited material": (edit("sealed"), OBJECT),
    "edited time": (edit("at_us"), OBJECT),
    "swapped materials": (swap("sealed"), OBJECT),
    "swapped documents": (swap("document", "mac", "revision"), OBJECT),
    "swapped but for the id": (swap("document", "mac", "revision", "sealed", "at_us", "next_us"), OBJECT),
    "deleted record": (delete("records", "id = ?"), OBJECT),
    "deleted index": (delete("listing", "object = ?"), OBJECT),
    "deleted attributes": (delete("attribute_index", "object = ?"), OBJECT),
    "shown to another user": (show_to_bob, OBJECT),
    "rolled back": (roll_back, OBJECT),
    "edited journal row": (edit("document", "journal", "sequence = 3"), "journal 3"),
    "edited journal author": (edit("at_us", "journal", "sequence = 4"), "journal 4"),
    "deleted journal row": (delete("journal", "sequence = 5"), "journal 5"),
    "cut journal": (delete("journal", "sequence = (SELECT max(sequence) FROM journal)"), "journal "),
    "edited audit leaf": (edit("leaf", "audit", "sequence = 2"), "audit 2"),
    "deleted audit leaf": (delete("audit", "sequence = 2"), "audit 2"),
    "edited user": (edit("document", where="handle = 'bob' AND kind = 'user'"), "user "),
    "edited authority": (edit("document", where="kind = 'authority'"), "authority "),
    "edited realm key": (edit("document", where="kind = 'realm'"), "realm realm.root"),
    "edited settings": (edit("document", where="handle = 'key_server'"), "settings settings.key_server"),
    "edited root": (edit("sealed", "root", "id = 1"), "root 1"),
    "edited server key": (edit("document", where="kind = 'server_key'", file="node.db"), "server_key server-key.kmip"),
}
OF_OTHERS: dict[str, tuple[Damage, Callable[[Furnished], str]]] = {
    "inserted record": (insert, lambda _past: "object 00000000-0000-0000-0000-000000000000"),
    "destroyed key put back": (raise_the_dead, lambda past: past.destroyed),
}


def verify(data: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """The command, without the time that a new process takes."""
    capsys.readouterr()
    status = main(["verify", "--data", str(data)])
    return status, capsys.readouterr().out


def test_an_untouched_copy_is_clean(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    """The control."""
    status, told = verify(files.data, capsys)
    assert (status, told.count("0 findings")) == (0, 2)


@pytest.mark.parametrize("name", DAMAGE)
def test_each_damage_is_named_by_its_row(files: Files, capsys: pytest.CaptureFixture[str], name: str) -> None:
    damage, row = DAMAGE[name]
    damage(files)
    status, told = verify(files.data, capsys)
    assert status == 1
    assert (files.past.keys[0] if row is OBJECT else row) in told
    others = files.past.keys[2:]
    assert not [key for key in others if key in told], "what was left alone is not blamed"


@pytest.mark.parametrize("name", OF_OTHERS)
def test_rows_that_came_back_or_from_nowhere_are_named(
    files: Files, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    damage, row = OF_OTHERS[name]
    damage(files)
    status, told = verify(files.data, capsys)
    assert status == 1
    assert row(files.past) in told


@pytest.mark.parametrize("table", ["marks", "meta"])
def test_a_store_that_is_another_one_is_refused(files: Files, capsys: pytest.CaptureFixture[str], table: str) -> None:
    """Its permanent marks ("dev") and its id are authenticated, too."""
    files.change("DELETE FROM marks" if table == "marks" else "UPDATE meta SET value = '00' WHERE name = 'store_id'")
    assert main(["verify", "--data", str(files.data)]) == 1
    assert capsys.readouterr().err


# -- serving damaged files -------------------------------------------------------------------------------------------


@pytest.fixture
def damaged_node(past: Furnished, tmp_path: Path) -> Iterator[DevNode]:
    """A node over a copy of the files; not started."""
    node = DevNode(tmp_path)
    shutil.copytree(past.node.data, node.data)
    yield node
    node.kill()


def test_a_serving_node_uses_nothing_that_was_tampered_with(past: Furnished, damaged_node: DevNode) -> None:
    """Each damaged key is refused with an error, whatever is asked; the others are served, and the process stays."""
    files = Files(damaged_node.data, past)
    edit("sealed")(files)
    for number, column in ((1, "document"), (2, "revision")):
        edit(column, where=f"id = x'{files.key(number).hex()}'")(files)
    files.change("DELETE FROM records WHERE id = ?", files.key(3))
    damaged_node.start()
    keys = process(damaged_node).pid
    with damaged_node.session() as session:
        for key in past.keys[:4]:
            for message in every_use(key):
                with pytest.raises(Refused) as refused:
                    session.ask(message)
                assert refused.value.reason == (GENERAL_FAILURE if key != past.keys[3] else messages.ITEM_NOT_FOUND)
        assert len(session.key(past.keys[4])) == 32
        session.ask(messages.encrypt_gcm(past.keys[5], b"data"))
    assert is_served(damaged_node)
    assert process(damaged_node).pid == keys
    assert "Traceback" not in said(damaged_node)


def every_use(key: str) -> list[bytes]:
    attribute = messages.custom_attribute("x-More", "1")
    return [
        messages.get(key),
        messages.get_attributes(key),
        messages.encrypt_gcm(key, b"data"),
        messages.request(ADD_ATTRIBUTE, named(key), attribute),
        messages.revoke(key),
        messages.destroy(key),
        messages.get(key),
    ]


def test_a_false_index_shows_nobody_what_is_not_theirs(past: Furnished, damaged_node: DevNode) -> None:
    """Class 14: rows of the index are hints; the record decides."""
    show_to_bob(Files(damaged_node.data, past))
    damaged_node.start()
    with damaged_node.session("bob") as session:
        assert session.identifiers(messages.locate()) == []
    with damaged_node.session() as session:
        assert set(past.keys) <= set(session.identifiers(messages.locate()))


def put_in_a_forged_authority(files: Files) -> None:
    """The node would trust whoever the forger certifies."""
    certificate = files.past.forger.certificate.public_bytes(Encoding.PEM)
    with closing(sqlite3.connect(files.data / "store.db")) as connection:
        (old,) = connection.execute("SELECT document FROM records WHERE kind = 'authority'").fetchone()
        start = old.index(b"-----BEGIN")
        stop = old.index(b"-----END CERTIFICATE-----\n") + 26
        connection.execute(
            "UPDATE records SET document = ? WHERE kind = 'authority'", (old[:start] + certificate + old[stop:],)
        )
        connection.commit()


START_IS_REFUSED: dict[str, Damage] = {
    "forged authority": put_in_a_forged_authority,
    "edited server key": edit("document", where="kind = 'server_key'", file="node.db"),
    "cut journal": delete("journal", "sequence >= 9"),
    "cut audit trail": delete("audit", "sequence >= 9"),
    "older root": lambda files: files.change("UPDATE root SET sealed = (SELECT sealed FROM before.root)"),
    "no marks": lambda files: files.change("DELETE FROM marks"),
}


@pytest.mark.parametrize("name", START_IS_REFUSED)
def test_a_node_does_not_start_on_what_all_else_rests_on(past: Furnished, damaged_node: DevNode, name: str) -> None:
    """Class 25: no authority, no trail, no root: no service, and a sentence that says so."""
    START_IS_REFUSED[name](Files(damaged_node.data, past))
    with pytest.raises(NotReady) as refused:
        damaged_node.start()
    assert "Traceback" not in str(refused.value)
