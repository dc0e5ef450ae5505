"""The client event log: seven fields a line, and nobody writes lines of their own."""

from base64 import b64encode
from pathlib import Path

import pytest

from keystead.core.errors import Limited
from keystead.gate.client_events import EVENTS_PER_S_MAX, ClientEventLog
from tests.support.builders import ALICE, BOB
from tests.support.dev_node import DevNode
from tests.support.xml.client import Answer, Client


def record(client: Client, message: bytes, name: str = "RecordEvent", number: str = "e1") -> Answer:
    return client.ask(name, ID=number, MessageSize=len(message), Message=b64encode(message).decode())


@pytest.mark.row("KS-NAE-020", "KS-LOG-014")
def test_an_event_is_a_line_of_seven_fields(node: DevNode, alice: Client) -> None:
    for name in ("RecordEvent", "RecordMessage"):
        assert record(alice, f"backup begins: {name}".encode(), name).ok
    assert record(alice, b"", number="empty").ok
    lines = (node.data / "logs" / "client-events.log").read_text().splitlines()
    ends = [line.split("] ", 1)[1] for line in lines]
    assert "INFO 127.0.0.1 [alice] alice e1 [backup begins: RecordEvent]" in ends
    assert "INFO 127.0.0.1 [alice] alice e1 [backup begins: RecordMessage]" in ends
    assert "INFO 127.0.0.1 [alice] alice empty [-]" in ends


def test_nobody_writes_lines_of_their_own(node: DevNode, alice: Client) -> None:
    log = node.data / "logs" / "client-events.log"
    before = log.read_text().count("\n")
    assert (
        record(alice, b"a\n[2026-01-01 00:00:00] INFO forged\r\x1b[2J\xff\xe2\x80\xae", number="x\u2028y z").ok is False
    )
    assert record(alice, b"a\n[2026-01-01 00:00:00] INFO forged\r\x1b[2J\xff\xe2\x80\xae", number="y z").ok
    assert log.read_text().count("\n") == before + 1
    assert " alice y?z [a?[2026-01-01 00:00:00] INFO forged??[2J" in log.read_text()


def test_size_and_message_have_to_agree(alice: Client) -> None:
    assert alice.ask("RecordEvent", MessageSize=3, Message="YWE=").number == 1004
    assert alice.ask("RecordEvent", MessageSize=1, Message="not base64!").number == 1004
    assert record(alice, b"a" * 4097).number == 1004


def test_one_user_does_not_flood_it(tmp_path: Path) -> None:
    now_s = 1_000.0
    log = ClientEventLog(tmp_path / "events.log", lambda: now_s)
    for _ in range(EVENTS_PER_S_MAX):
        log.add(ALICE, "1", "event")
    with pytest.raises(Limited):
        log.add(ALICE, "1", "event")
    log.add(BOB, "1", "event")
    now_s += 1
    log.add(ALICE, "1", "event")
    log.close()
    assert (tmp_path / "events.log").read_text().count("\n") == EVENTS_PER_S_MAX + 2
    assert (tmp_path / "events.log").stat().st_mode & 0o777 == 0o600
