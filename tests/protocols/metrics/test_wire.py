"""What Prometheus reads, read by its own parser."""

import cbor2
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from keystead.gate.histograms import Histogram
from keystead.operations.measurements import Family, distribution, many, one
from keystead.protocols.local.wire import plain
from keystead.protocols.metrics.wire import exposition, families_from


@given(st.text(max_size=50), st.floats(allow_nan=False, width=32) | st.integers(-(2**52), 2**52))
def test_any_label_and_number_comes_back(label: str, value: float) -> None:
    written = exposition([one("a_seconds", "gauge", label, value, place=label)])
    (family,) = text_string_to_metric_families(written)
    assert [(sample.labels, sample.value) for sample in family.samples] == [({"place": label}, value)]


def test_a_histogram_counts_upward() -> None:
    histogram = Histogram((0.001, 0.01))
    for duration_s, count in ((0.001, 2), (0.002, 1), (5.0, 1)):
        histogram.add(duration_s, count)
    (family,) = text_string_to_metric_families(exposition([distribution("a_seconds", "A.", histogram, process="x")]))
    assert family.type == "histogram"
    assert [(sample.labels.get("le"), sample.value) for sample in family.samples if sample.name.endswith("bucket")] == [
        ("0.001", 2),
        ("0.01", 3),
        ("+Inf", 4),
    ]
    assert {sample.name[10:]: sample.value for sample in family.samples[3:]} == {"sum": 5.004, "count": 4}


def test_families_of_two_processes_are_one() -> None:
    pair = [many("a_total", "counter", "A.", {(("process", name),): 1}) for name in ("keys", "admin")]
    assert exposition(pair).count("# TYPE") == 1
    (family,) = text_string_to_metric_families(exposition(pair))
    assert {sample.labels["process"] for sample in family.samples} == {"keys", "admin"}


def test_families_cross_the_local_socket() -> None:
    families: list[Family] = [
        distribution("a_seconds", "A.", Histogram((1,))),
        one("b_bytes", "gauge", "B.", 1.5, x="y"),
    ]
    assert families_from(cbor2.loads(cbor2.dumps(plain(families)))) == families
