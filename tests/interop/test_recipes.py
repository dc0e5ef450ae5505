"""docs/clients/ in the hands of somebody who reads it: its commands, files and programs, run as they stand."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.dev_node import DevNode
from tests.support.recipes import Block, Reader, blocks

SAYS = {
    "pykmip": (r"^fetched: 32 bytes$", r"^kept: of the database$"),
    "mongodb": (r"^normal works with [0-9a-f-]{36}$", r"^delegated works with [0-9a-f-]{36}$"),
}
"""What the programs of a page print when they have done what the page says."""

WAYS = '({}, {"delegated": True})'
REVOKE = """
    from kmip.core.enums import RevocationReasonCode
    from kmip.pie.client import ProxyKmipClient
    with ProxyKmipClient("127.0.0.1", 5696, "shop.pem", "shop.key", "ca.pem", "PROTOCOL_TLSv1_2") as client:
        client.revoke(RevocationReasonCode.KEY_COMPROMISE, bson.decode(vault.keys[key])["masterKey"]["keyId"])
"""


@pytest.mark.parametrize("page", SAYS)
def test_the_page_works_from_its_first_line_to_its_last(node: DevNode, tmp_path: Path, page: str) -> None:
    reader = Reader(node, tmp_path)
    said = "".join(reader.do(block) for block in blocks(page))
    assert [line for line in SAYS[page] if not re.search(line, said, re.MULTILINE)] == []


def program_of(reader: Reader, user: str, *, export: bool) -> Block:
    """Do what the MongoDB page says for a user of this name, up to its last program, which is returned."""
    told = [replace(block, text=block.text.replace("shop", user)) for block in blocks("mongodb")]
    for block in told[:-2]:
        switch = f"allow_key_export={str(export).lower()}"
        reader.do(replace(block, text=block.text.replace("allow_key_export=true", switch)))
    assert WAYS in told[-1].text
    return told[-1]


def test_delegated_keys_never_leave_so_fetching_may_stay_off(node: DevNode, tmp_path: Path) -> None:
    reader = Reader(node, tmp_path)
    program = program_of(reader, "other-shop", export=False)
    try:
        delegated, normal = (
            replace(program, text=program.text.replace(WAYS, way)) for way in ('({"delegated": True},)', "({},)")
        )
        assert "delegated works" in reader.do(delegated)
        with pytest.raises(AssertionError, match="MongoCryptError"):
            reader.do(normal)
    finally:
        reader.do(Block("sh", "", "keystead settings set key_server.allow_key_export=true --data /srv/keystead/data"))


def test_what_was_encrypted_before_its_key_was_revoked_can_still_be_read(node: DevNode, tmp_path: Path) -> None:
    reader = Reader(node, tmp_path)
    program = program_of(reader, "third-shop", export=True)
    later = "    encrypter.close()\n"
    assert program.text.count(later) == 1
    revoking = program.text.replace(later, later + REVOKE.replace("shop.", "third-shop."))
    said = reader.do(replace(program, text=revoking))
    assert "normal works" in said
    assert "delegated works" in said
