"""The OASIS profile cases of ../shared, played by its acceptance runner against a server in this process."""

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from tests.support.kmip_loopback import Connection, Loopback

RUNNER = "kmip_vectors"


@cache
def load_runner(shared: Path) -> ModuleType:
    """The runner as a module. It is third-party code: nothing in it knows about us."""
    path = shared / "kmip" / "runner" / f"{RUNNER}.py"
    spec = importlib.util.spec_from_file_location(RUNNER, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[RUNNER] = module
    spec.loader.exec_module(module)
    return module


@cache
def load_cases(shared: Path, versions: tuple[str, ...], *, informative: bool = False) -> list[Any]:
    """The profile cases whose messages speak these versions; with the informative ones (TC-*) if wanted."""
    cases: list[Any] = load_runner(shared).load_cases(str(shared / "kmip" / "vectors"), versions, informative)
    return cases


def play(shared: Path, loopback: Loopback, versions: tuple[str, ...], only: str | None = None) -> list[dict[str, Any]]:
    """Results of all cases of these versions: id, version, result, step, operation, detail."""
    runner = load_runner(shared)
    options = SimpleNamespace(
        plain=True, no_sweep=False, reset=None, verbose=0, https_url=None, port=1, broken=False, suiteb_tls=False
    )

    class InProcess(runner.Connection):  # type: ignore[misc, name-defined]  # the runner has no types
        def __init__(self, client: Connection) -> None:
            super().__init__(options, None)
            self._client = client

        def call(self, data: bytes) -> bytes:
            return self._client.send(data)

        def tls_version(self) -> str:
            return "TLSv1.3"

    class Player(runner.Runner):  # type: ignore[misc, name-defined]  # likewise
        def connection(self, _case: Any) -> InProcess:
            return InProcess(loopback.connect())

    cases = load_cases(shared, versions, informative=only is not None and only.startswith("TC"))
    chosen = [case for case in cases if only is None or case.id.startswith(only)]
    player = Player(options)
    results = [result for group in runner.make_groups(chosen, cases) for result in player.group(group)]
    runner.settle_alternatives(results)
    return results


def operations_of(shared: Path, versions: tuple[str, ...]) -> dict[str, set[int]]:
    """Case id -> numbers of the operations it asks for."""
    operation = load_runner(shared).T.TAGS["Operation"][0]
    return {
        case.id: {
            one.value
            for _, request, _ in case.steps
            for item in request.kids("BatchItem")
            for one in item.value
            if one.tag == operation
        }
        for case in load_cases(shared, versions)
    }
