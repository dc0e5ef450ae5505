"""What a process counts about itself, for whoever watches the node: numbers only, of everybody together.

Law: no id, name or address of an object, user or peer is in a label (they would leave the node past every right).

Source: requirements KS-STAT-003, 004, 007, 020, 040; Prometheus data model.
"""

from dataclasses import dataclass
from typing import NamedTuple

from keystead.core.permission import Access
from keystead.gate.call import Call
from keystead.gate.histograms import Histogram
from keystead.gate.operation import operation

MEASUREMENTS = "measurements"
"""Service of the gate: a function without arguments that returns the families of its process."""


class Sample(NamedTuple):
    """One number.

    Attributes:
        suffix: After the family's name; only histograms have any.
        labels: (name, value) in order; of a bounded vocabulary.
    """

    suffix: str
    labels: tuple[tuple[str, str], ...]
    value: float


class Family(NamedTuple):
    """Numbers of one kind.

    Attributes:
        name: As Prometheus wants it, with the unit as its last word; counters end in "_total".
        kind: "counter", "gauge" or "histogram".
        title: For people.
    """

    name: str
    kind: str
    title: str
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Measure:
    """Show what the key-serving process counts."""


@operation(Measure, "node.measure", "NodeMeasure", administrator=Access.ANY, material=True, route=None)
def measure(call: Call, _request: Measure) -> tuple[Family, ...]:
    """Return the families of the process that serves keys."""
    families: tuple[Family, ...] = call.desk.services[MEASUREMENTS]()
    return families


def one(name: str, kind: str, title: str, value: float, **labels: str) -> Family:
    """Return a family of one number."""
    return Family(name, kind, title, (Sample("", tuple(labels.items()), value),))


def many(name: str, kind: str, title: str, values: dict[tuple[tuple[str, str], ...], float]) -> Family:
    """Return a family from labels -> number."""
    return Family(name, kind, title, tuple(Sample("", labels, value) for labels, value in values.items()))


def distribution(name: str, title: str, histogram: Histogram, **labels: str) -> Family:
    """Return a histogram with running totals, as Prometheus wants them."""
    fixed = tuple(labels.items())
    samples, total_count = [], 0
    for bound, count in zip([*map(repr, histogram.bounds_s), "+Inf"], histogram.counts, strict=True):
        total_count += count
        samples.append(Sample("_bucket", (*fixed, ("le", bound)), total_count))
    samples += [Sample("_sum", fixed, histogram.sum_s), Sample("_count", fixed, total_count)]
    return Family(name, "histogram", title, tuple(samples))
