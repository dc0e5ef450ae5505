"""The text that Prometheus reads; pure.

Source: Prometheus exposition formats, "Text-based format", version 0.0.4.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from keystead.operations.measurements import Family, Sample

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(families: Iterable[Family]) -> str:
    """Return families as text; those of one name, from several processes, are brought together."""
    together: dict[str, Family] = {}
    for family in families:
        before = together.get(family.name)
        whole = family if before is None else before._replace(samples=(*before.samples, *family.samples))
        together[family.name] = whole
    return "".join(map(_family, together.values()))


def families_from(answer: Iterable[Mapping[str, Any]]) -> list[Family]:
    """Rebuild what came over a local socket."""
    return [
        Family(
            str(given["name"]),
            str(given["kind"]),
            str(given["title"]),
            tuple(
                Sample(str(one["suffix"]), tuple((str(n), str(v)) for n, v in one["labels"]), float(one["value"]))
                for one in given["samples"]
            ),
        )
        for given in answer
    ]


def _family(family: Family) -> str:
    lines = [f"# HELP {family.name} {_escaped(family.title)}", f"# TYPE {family.name} {family.kind}"]
    lines += [f"{family.name}{sample.suffix}{_labels(sample)} {_number(sample.value)}" for sample in family.samples]
    return "\n".join(lines) + "\n"


def _labels(sample: Sample) -> str:
    if not sample.labels:
        return ""
    pairs = (f'{name}="{_escaped(value).replace(chr(34), chr(92) + chr(34))}"' for name, value in sample.labels)
    return "{" + ",".join(pairs) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
