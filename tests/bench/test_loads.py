"""The load client and the echo server that all figures rest on do what they say."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench.rig import loads, native, servers
from bench.rig.loads import Load, LoadFailed
from bench.rig.servers import Server
from tests.support.components import skip_or_fail
from tests.support.kmip import messages

REQUESTS = [messages.get("1"), messages.get("22"), messages.encrypt_gcm("333", bytes(5000))]
REFUSAL = messages.structure(
    messages.REQUEST_MESSAGE,
    messages.enumeration(messages.RESULT_STATUS, 1),
    messages.text(messages.RESULT_MESSAGE, "no such key"),
)


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[Server]:
    try:
        native.program("load")
    except native.CannotCompile as error:
        skip_or_fail(str(error))
    with servers.echo(tmp_path / "echo") as server:
        yield server


def test_the_echo_is_the_request(echo: Server) -> None:
    with echo.session() as session:
        for request in REQUESTS:
            assert session.send(request) == request


@pytest.mark.parametrize("tls", ["1.2", "1.3"])
def test_both_versions_of_tls_are_spoken(echo: Server, tls: str) -> None:
    measured = loads.run(replace(echo, tls=tls), Load([REQUESTS], 1, 0.1, busy=False))
    assert measured.operations > 0


@pytest.mark.parametrize("mode", ["steady", "paced", "reconnect", "storm"])
def test_each_mode_measures(echo: Server, mode: str) -> None:
    options = ("--warmup", "0.05", "--newcomers", "5", "--rate", "500")
    seconds = 20.0 if mode == "storm" else 0.2
    measured = loads.run(echo, Load([REQUESTS, REQUESTS[:1]], 3, seconds, mode, busy=False, options=options))
    assert measured.operations > 0
    assert 0 < measured.p50_us <= measured.p90_us <= measured.p99_us <= measured.p999_us <= measured.max_us
    assert measured.server_cpu_us > 0
    assert measured.seconds < 15


def test_fill_sends_everything_once(echo: Server) -> None:
    measured = loads.run(echo, Load([REQUESTS, REQUESTS[:2]], 2, 0.2, "fill", busy=False))
    assert measured.operations == len(REQUESTS) + 2


def test_a_paced_load_keeps_its_rate(echo: Server) -> None:
    options = ("--warmup", "0", "--rate", "200")
    measured = loads.run(echo, Load([REQUESTS], 4, 0.5, "paced", busy=False, options=options))
    assert measured.operations <= 101


def test_refusals_are_no_operations(echo: Server) -> None:
    with pytest.raises(LoadFailed, match="no such key"):
        loads.run(echo, Load([[REFUSAL]], 1, 0.1, busy=False))


def test_a_server_that_goes_away_is_told(echo: Server) -> None:
    nobody = Server("nobody", 1, echo.pid, echo.clients)
    with pytest.raises(LoadFailed, match="nobody"):
        loads.run(nobody, Load([REQUESTS], 1, 0.1, busy=False))
