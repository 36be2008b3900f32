"""The engine's counters in the Prometheus text format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# Groups that become one metric with a label, and the label's name.
_LABELLED = {"tokens": "kind", "cache": "result", "stage_ms": "stage"}
_GAUGES = {
    "pending",
    "in_flight",
    "waiting",
    "files_of_other_stores",
    "files_of_others_at_work",
    "connected",
    "processes",
    "limit_usd",
    "spent_today_usd",
    "ledger_away",
}
# Of an endpoint: counters; all else is a gauge.
_ENDPOINT_COUNTERS = {"refused_429", "breaker_opened"}


def metrics_text(metrics: Mapping[str, Any]) -> str:
    return "".join(f"{line}\n" for line in _lines(metrics))


def _lines(metrics: Mapping[str, Any]) -> Iterator[str]:
    for group, values in metrics.items():
        if not isinstance(values, Mapping):
            yield from _metric(group, "counter", [("", values)])
        elif group in _LABELLED:
            label = _LABELLED[group]
            samples = [(f'{{{label}="{key}"}}', value) for key, value in values.items()]
            yield from _metric(group, "counter", samples)
        else:
            for key, value in values.items():
                kind = "gauge" if key in _GAUGES else "counter"
                if isinstance(value, list):
                    yield from _endpoints(f"{group}_endpoint", value)
                    continue
                if isinstance(value, Mapping):
                    samples = [(f'{{code="{code}"}}', count) for code, count in value.items()]
                else:
                    samples = [("", value)]
                yield from _metric(f"{group}_{key}", kind, samples)


def _endpoints(name: str, endpoints: list[Mapping[str, Any]]) -> Iterator[str]:
    """One metric for each figure, one sample for each endpoint that has it."""
    labels = [f'endpoint="{i}",host="{one["host"]}"' for i, one in enumerate(endpoints)]
    for key in endpoints[0]:
        if key == "host":
            continue
        if key == "breaker":  # what opened it; none: closed
            samples: list[tuple[str, Any]] = [
                (f'{{{label},reason="{one[key]}"}}', int(one[key] != "closed"))
                for label, one in zip(labels, endpoints, strict=True)
            ]
        else:
            samples = [
                (f"{{{label}}}", int(one[key]) if isinstance(one[key], bool) else one[key])
                for label, one in zip(labels, endpoints, strict=True)
                if one[key] is not None
            ]
        if samples:
            kind = "counter" if key in _ENDPOINT_COUNTERS else "gauge"
            yield from _metric(f"{name}_{key}", kind, samples)


def _metric(name: str, kind: str, samples: list[tuple[str, Any]]) -> Iterator[str]:
    full_name = f"postgen_{name}" + ("_total" if kind == "counter" else "")
    yield f"# TYPE {full_name} {kind}"
    for label, value in samples:
        yield f"{full_name}{label} {value}"
