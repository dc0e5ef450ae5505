"""The KMIP codec alone, in microseconds of one core: ./dev bench codec

Each message is read and written by the reference codec, by its shape or template, and by PyKMIP, in turns in the same
run. Ratios are medians over the rounds, so that a busy machine slows both sides. Prints a table; writes
bench-results/codec.json.
"""

from __future__ import annotations

import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.rig import machine, reports
from keystead.protocols.kmip.wire.nodes import Node
from keystead.protocols.kmip.wire.shape_cache import ShapeCache
from keystead.protocols.kmip.wire.tags_table import Tag
from keystead.protocols.kmip.wire.templates import ENCODED_ITEMS, Slot, Template
from keystead.protocols.kmip.wire.ttlv import decode, encode
from tests.support import kmip_samples
from tests.support.kmip_samples import FREE, NONCE, NOW, UNIQUE_IDENTIFIER

sys.path.remove(str(Path(__file__).parent))  # where kmip.py is our benchmark, not PyKMIP
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # PyKMIP's own
    from kmip.core.messages.messages import RequestMessage, ResponseMessage
    from kmip.core.utils import BytearrayStream

ROUNDS = 9
ROUND_S = 0.02
HEADINGS = ("message", "bytes", "does", "us", "PyKMIP us", "ratio", "reference us", "ratio")

STAMP = NOW.to_bytes(8, "big")
IDENTIFIER = UNIQUE_IDENTIFIER.encode()
DATA = bytes(range(64))
FOUND = b"".join(encode(kmip_samples.unique_identifier(value)) for value in kmip_samples.identifiers(50))

Work = Callable[[], object]


@dataclass(frozen=True)
class Sample:
    """A message, and who else can do the same with it."""

    name: str
    tree: Node
    render: Work | None = None

    @property
    def is_request(self) -> bool:
        return self.tree[0] == Tag.REQUEST_MESSAGE


def samples() -> list[Sample]:
    get = Template(kmip_samples.get_response(now=Slot(), identifier=Slot(36), material=Slot()))
    encrypt = Template(kmip_samples.encrypt_response(now=Slot(), data=Slot(), nonce=Slot(12)))
    locate = Template(kmip_samples.response("Locate", (0, ENCODED_ITEMS, Slot())))
    return [
        Sample("Get request", kmip_samples.get_request()),
        Sample("Get response", kmip_samples.get_response(), lambda: get.render((STAMP, IDENTIFIER, bytes(32)))),
        Sample("Encrypt request, 64 B", kmip_samples.encrypt_request(DATA)),
        Sample("Encrypt request, 4 KiB", kmip_samples.encrypt_request(bytes(4096))),
        Sample(
            "Encrypt response, 64 B",
            kmip_samples.encrypt_response(data=DATA),
            lambda: encrypt.render((STAMP, DATA, NONCE)),
        ),
        Sample("Locate response, 50 ids", kmip_samples.locate_response(50), lambda: locate.render((FOUND,))),
    ]


def main() -> int:
    lines = [line for sample in samples() for line in measured(sample)]
    print(reports.table(HEADINGS, [row(line) for line in lines]))
    print(f"written: {reports.write('codec', {'machine': machine.description(), 'rounds': ROUNDS, 'lines': lines})}")
    return 0


def measured(sample: Sample) -> list[dict[str, Any]]:
    message = encode(sample.tree)
    reads: dict[str, Work] = {"decode": lambda: decode(message)}
    writes: dict[str, Work] = {"encode": lambda: encode(sample.tree)}
    if sample.is_request:
        reads["shape"] = shape_of(message)
    if sample.render is not None:
        assert sample.render() == message, "a template must agree with the reference"
        writes["template"] = sample.render
    peer_read, peer_write = pykmip(message, RequestMessage if sample.is_request else ResponseMessage)
    return [*compared(sample, message, reads, peer_read), *compared(sample, message, writes, peer_write)]


def shape_of(message: bytes) -> Work:
    """What a session does first with a message of a known shape."""
    cache: ShapeCache[str] = ShapeCache(FREE)
    for _ in range(2):
        cache.learn(message, lambda _: "builder")
    assert cache.match(message) is not None
    return lambda: cache.match(message)


def pykmip(message: bytes, kind: Callable[[], Any]) -> tuple[Work, Work]:
    """PyKMIP's reader and writer for the same bytes."""

    def read() -> Any:
        found = kind()
        found.read(BytearrayStream(message))
        return found

    known = read()

    def write() -> bytes:
        stream = BytearrayStream()
        known.write(stream)
        return bytes(stream.buffer)

    assert write() == message, "both must do the same"
    return read, write


def compared(sample: Sample, message: bytes, ours: dict[str, Work], peer: Work) -> list[dict[str, Any]]:
    """One line for each of our ways; the first is the reference."""
    works = [*ours.values(), peer]
    counts = [repetitions(work) for work in works]
    rounds = [[cost_us(work, count) for work, count in zip(works, counts, strict=True)] for _ in range(ROUNDS)]
    return [
        {
            "message": sample.name,
            "bytes": len(message),
            "does": name,
            "us": statistics.median(costs[place] for costs in rounds),
            "pykmip_us": statistics.median(costs[-1] for costs in rounds),
            "pykmip_ratio": statistics.median(costs[-1] / costs[place] for costs in rounds),
            "reference_us": statistics.median(costs[0] for costs in rounds),
            "reference_ratio": statistics.median(costs[0] / costs[place] for costs in rounds),
        }
        for place, name in enumerate(ours)
    ]


def repetitions(work: Work) -> int:
    """How often to repeat it in one round."""
    return max(1, round(ROUND_S * 1e6 / cost_us(work, 20)))


def cost_us(work: Work, count: int) -> float:
    started = time.perf_counter()
    for _ in range(count):
        work()
    return (time.perf_counter() - started) / count * 1e6


def row(line: dict[str, Any]) -> list[str]:
    return [
        line["message"],
        str(line["bytes"]),
        line["does"],
        f"{line['us']:.2f}",
        f"{line['pykmip_us']:.1f}",
        f"{line['pykmip_ratio']:.0f}x",
        f"{line['reference_us']:.1f}",
        f"{line['reference_ratio']:.1f}x",
    ]


if __name__ == "__main__":
    sys.exit(main())
