"""What monitoring sees of a running node."""

import socket
import ssl
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

import keystead.operations.all  # noqa: F401  # declares every operation
from keystead.core.errors import REASONS
from keystead.gate.operation import REGISTRY
from tests.node import production as production_node
from tests.support.dev_node import DevNode
from tests.support.kmip import messages
from tests.support.kmip.sessions import Refused

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
CANARY = "a-name-that-nobody-else-has"
FREE_LABELS = {"version", "le"}
WORDS = {
    "process": {"keys", "admin"},
    "origin": {"client", "local", "clock"},
    "store": {"shared", "own"},
    "file": {"store.db", "store.db-wal", "node.db", "node.db-wal"},
    "state": {
        *("proven", "handshaking", "initialised", "activated", "key_cache"),
        *("crypto_user_logged_in", "security_officer_logged_in"),
    },
    "role": {"security-officer", "crypto-user"},
    "certificate": {"server", "authority"},
    "operation": {"unreadable", *(declaration.title for declaration in REGISTRY.values())},
    "result": {"success", *REASONS},
}


def fetched(url: str) -> str:
    with urllib.request.urlopen(url, timeout=20) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text: str = answer.read().decode()
    return text


def samples(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def seen(node: DevNode) -> Samples:
    """As it is now: what was measured within the second before may be older."""
    time.sleep(1.1)
    return samples(fetched(node.ready["metrics"]["url"]))


def number(of: Samples, name: str, **labels: str) -> float:
    return of.get((name, frozenset(labels.items())), 0.0)


def test_requests_are_counted_by_operation_and_result_and_timed(node: DevNode) -> None:
    before = seen(node)
    with node.session() as session:
        session.ask(messages.create(CANARY))
        for _ in range(40):
            session.ask(messages.locate())
        with pytest.raises(Refused):
            session.ask(messages.get("0198c0de-0000-7000-8000-000000000000"))
        now = seen(node)
        assert number(now, "keystead_connections", state="proven") >= 1
    grown = {key: value - before.get(key, 0.0) for key, value in now.items()}
    keys = {"process": "keys"}
    of_clients = keys | {"origin": "client"}
    assert number(grown, "keystead_requests_total", **of_clients, operation="Create", result="success") == 1
    assert number(grown, "keystead_requests_total", **of_clients, operation="Locate", result="success") == 40
    assert number(grown, "keystead_requests_total", **of_clients, operation="Get", result="not_found.item") == 1
    assert 0 < number(grown, "keystead_answer_seconds_count") < 40  # one pass of the loop in eight is timed
    assert number(grown, "keystead_answer_seconds_sum") > 0
    assert number(grown, "keystead_connections_total") == 1
    assert number(grown, "keystead_transactions_total", **keys) >= 1
    assert number(grown, "keystead_commit_seconds_count", **keys) >= 1
    assert number(grown, "keystead_journal_sequence", store="shared") >= 1
    assert number(now, "keystead_objects_at_hand") >= 1


@pytest.mark.row("KS-KMIP-052")
def test_every_request_of_a_client_counts_and_none_of_an_administrator(node: DevNode) -> None:
    before = seen(node)
    with node.session() as session:
        for _ in range(5):
            session.ask(messages.locate())
        for _ in range(3):
            with pytest.raises(Refused):
                session.ask(messages.get("0198c0de-0000-7000-8000-000000000000"))
    for words in (("user", "list"), ("key", "list", "--user", "alice"), ("group", "list"), ("hsm", "status")):
        assert production_node.keystead(*words, "--data", node.data).returncode == 0
    now = seen(node)
    grown = {key: value - before.get(key, 0.0) for key, value in now.items() if key[0] == "keystead_requests_total"}
    of_clients = {
        (dict(labels)["operation"], dict(labels)["result"]): value
        for (_, labels), value in grown.items()
        if value and dict(labels)["origin"] == "client"
    }
    assert of_clients == {("Locate", "success"): 5, ("Get", "not_found.item"): 3}


def test_the_state_of_the_node_is_there(node: DevNode) -> None:
    now = seen(node)
    assert number(now, "keystead_up", process="keys") == number(now, "keystead_up", process="admin") == 1
    assert number(now, "keystead_module_state", state="activated") == 1
    assert number(now, "keystead_module_attempts_left", role="crypto-user") == 10
    assert number(now, "keystead_store_bytes", file="store.db") == (node.data / "store.db").stat().st_size
    years = (number(now, "keystead_certificate_expiry_timestamp_seconds", certificate="server") - time.time()) / 31e6
    assert 2 < years < 3
    assert 1e7 < number(now, "keystead_memory_bytes", process="keys") < 1e9


def test_peers_that_fail_are_counted_by_cause(node: DevNode) -> None:
    before = seen(node)
    stranger = ssl.create_default_context()
    with pytest.raises(ssl.SSLError), stranger.wrap_socket(_socket(node), server_hostname="localhost"):
        pass
    with _socket(node) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
        plain.recv(100)
    _socket(node).close()
    now = seen(node)
    causes = {
        dict(labels)["cause"]
        for (name, labels), value in now.items()
        if name == "keystead_connections_refused_total" and value > before.get((name, labels), 0)
    }
    assert causes == {"tls_tlsv1_alert_unknown_ca", "tls_http_request", "left_before_handshake"}


def _socket(node: DevNode) -> socket.socket:
    return socket.create_connection(("127.0.0.1", node.port), 10)


def test_nobody_is_named(node: DevNode) -> None:
    with node.session() as session:
        session.ask(messages.create(CANARY))
    text = fetched(node.ready["metrics"]["url"])
    assert CANARY not in text
    assert "alice" not in text
    words = {label for _, labels in samples(text) for label in labels if label[0] not in FREE_LABELS | {"cause"}}
    assert not {(name, word) for name, word in words if word not in WORDS[name]}


def test_it_listens_on_loopback_and_says_when_keys_are_not_served(own_node: DevNode) -> None:
    url = own_node.ready["metrics"]["url"]
    assert urlsplit(url).hostname == "127.0.0.1"
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    port = f"{urlsplit(url).port:04X}"
    assert {row[1] for row in listening if row[1].endswith(":" + port) and row[3] == "0A"} == {f"0100007F:{port}"}
    (own_node.data / "run" / "keys.sock").rename(own_node.data / "run" / "away.sock")
    now = seen(own_node)
    assert number(now, "keystead_up", process="keys") == 0
    assert number(now, "keystead_up", process="admin") == 1
    assert not [name for name, _ in now if name.startswith("keystead_answer")]


def test_it_is_off_as_delivered_and_has_a_port_of_its_own(tmp_path: Path) -> None:
    data = production_node.make(tmp_path, "--metrics-port", "0")
    with production_node.serving(data) as ports:
        now = samples(fetched(f"http://127.0.0.1:{ports['metrics']}/metrics"))
        assert number(now, "keystead_module_state", state="activated") == 0
    without = production_node.make(_made(tmp_path / "other"))
    with production_node.serving(without) as ports:
        assert "metrics" not in ports


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
