"""Coverage-guided fuzzing of KMIP with atheris: framing, codec, translation, gate and operations.

    .venv/bin/pip install atheris
    PYTHONPATH=. .venv/bin/python tools/fuzz_wire.py -max_total_time=600 CORPUS-FOLDER

Arguments go to libFuzzer; inputs that reach new code are kept in the folder. Without -runs or -max_total_time it goes
on until it finds something. An input that breaks a rule is written to ./crash-…; run the tool with that file to see it
again. atheris is no dependency of the project, as it exists for few platforms; ./dev test explores with
tests/hostile/exploration.py instead.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["keystead"]):
    from keystead.core.permission import Principal
    from keystead.protocols.kmip.wire import ttlv
    from keystead.protocols.kmip.wire.framing import HEADER_BYTES, REQUEST
    from keystead.protocols.kmip.wire.nodes import Node
    from keystead.protocols.kmip.wire.tags_table import Tag
    from tests.hostile.corpus import register_key, samples
    from tests.support.kmip_loopback import Loopback
    from tests.support.kmip_requests import aes, answers, item, message

KEEP_OBJECTS_COUNT = 5_000  # then a new store, so that the run stays as quick as it began
MESSAGE_BYTES_MAX = 4_096


class Target:
    """One server in this process; every input is a connection of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._runs_count = 0
        self._renew()

    def _renew(self) -> None:
        self._loopback = Loopback(self._folder)
        (made,) = answers(self._loopback.connect().ask(message((1, 4), item("Create", *aes()))))
        self.key = str(made.value(Tag.UNIQUE_IDENTIFIER))

    def __call__(self, data: bytes) -> None:
        """Send an input; raise when an answer breaks a rule."""
        self._runs_count += 1
        if self._runs_count % KEEP_OBJECTS_COUNT == 0:
            self._loopback.__exit__(None, None, None)
            self._renew()
        self._loopback.objects.refresh()
        session = self._loopback.connect(Principal("user", "alice", common_name="alice")).session
        for whole in session.messages(_framed(data)):
            said: list[bytes] = []
            session.handle(whole, said.append)
            if len(said) != 1:
                raise RuntimeError(f"{len(said)} answers to one message")
            self._judge(ttlv.decode(said[0]))
        if session.failure is not None:
            self._judge(ttlv.decode(session.refuse(session.failure)))

    @staticmethod
    def _judge(response: Node) -> None:
        if any("internal" in answer.text for answer in answers(response)):
            raise RuntimeError("a handler failed for a reason of ours")


def _framed(data: bytes) -> bytes:
    """Tell the truth about the whole length, or few inputs would get any further."""
    if data[:4] != REQUEST or len(data) % 8:
        return data
    return data[:4] + (len(data) - HEADER_BYTES).to_bytes(4, "big") + data[HEADER_BYTES:]


def main() -> None:
    """Seed the corpus folder, then fuzz."""
    target = Target(Path(tempfile.mkdtemp(prefix="keystead-fuzz-")))  # stays: libFuzzer ends the process
    corpus = next((Path(word) for word in sys.argv[1:] if Path(word).is_dir()), None)
    if corpus is not None and not any(corpus.iterdir()):
        seeds = [*samples(target.key), message((1, 4), register_key((1, 4), os.urandom(32)))]
        for number, seed in enumerate(seeds):
            (corpus / f"seed-{number:03}").write_bytes(ttlv.encode(seed))
    atheris.Setup([*sys.argv, f"-max_len={MESSAGE_BYTES_MAX}"], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
