"""The door to prometheus_client: the table of metrics as text, in the format that a scraper asks for.

The text is made in small parts, so that the event loop can serve clients between them: encoding is slow. To import this
costs about 25 ms and 2 MB, so only a process that serves metrics does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice

from prometheus_client import ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder, gzip_accepted
from prometheus_client.registry import Collector

from trunkline.metrics.families import Family, Kind
from trunkline.metrics.merging import Gathered, families, summed
from trunkline.metrics.readings import Reading, Source, Times

__all__ = ["PART", "exposition", "gzip_accepted"]

PART = 100
"""Series encoded at a time: about a millisecond."""

LINES = 14
"""Of each series of a histogram."""

_MAKE: dict[Kind, Callable[..., CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily]] = {
    Kind.COUNTER: CounterMetricFamily,
    Kind.GAUGE: GaugeMetricFamily,
    Kind.HISTOGRAM: HistogramMetricFamily,
}
_END = b"# EOF\n"  # of OpenMetrics, once and last


def exposition(source: Source | Gathered, accept: str) -> tuple[str, Iterator[bytes]]:
    """The content type for this Accept header, and the text in parts, each read when it is asked for."""
    try:
        encode, content_type = choose_encoder(accept)
    except TypeError:  # it compares what is no version with one
        encode, content_type = choose_encoder("")
    end = _END if content_type.startswith("application/openmetrics-text") else b""
    return content_type, _encoded(source, encode, end)


def _encoded(source: Source | Gathered, encode: Callable[[Collector], bytes], end: bytes) -> Iterator[bytes]:
    yield encode(_Processes(source.processes)).removesuffix(end)
    for family in families(pgbouncer_names=source.pgbouncer_names):
        readings = iter(source.of(family))
        headed = False
        part = PART if family.kind is not Kind.HISTOGRAM else PART // LINES
        while batch := list(islice(readings, part)):
            text = encode(_One(_metric(family, batch))).removesuffix(end)
            yield _without_head(text) if headed else text
            headed = True
    yield end


class _Processes:
    """What the system tells of processes, as of one."""

    def __init__(self, processes: Iterable[int]) -> None:
        self._collectors = [ProcessCollector(pid=partial(int, pid), registry=None) for pid in processes]

    def collect(self) -> Iterable[Metric]:
        tables = [{one.name: one for one in collector.collect()} for collector in self._collectors]
        found = summed({name: one.samples[0].value for name, one in table.items()} for table in tables)
        for name, metric in {name: one for table in tables for name, one in table.items()}.items():
            metric.samples = [metric.samples[0]._replace(value=found[name])]
            yield metric


class _One:
    """What an encoder takes: something that has metrics; here it has one."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        return (self._metric,)


def _metric(family: Family, readings: Iterable[Reading]) -> Metric:
    metric = _MAKE[family.kind](family.name, family.help, labels=family.labels, unit=family.unit)
    for labels, value in readings:
        shown = [_utf8(label) for label in labels]
        if isinstance(metric, HistogramMetricFamily):
            assert isinstance(value, Times)
            metric.add_metric(shown, list(value.below), value.sum_s)
        else:
            assert not isinstance(value, Times)
            metric.add_metric(shown, value)
    return metric


def _utf8(label: str) -> str:
    """Names are bytes that a client chose; those that are no UTF-8 are shown as escapes."""
    if label.isprintable():
        return label
    return label.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _without_head(text: bytes) -> bytes:
    """Only the series: HELP, TYPE and UNIT have been told."""
    while text.startswith(b"# "):
        text = text.partition(b"\n")[2]
    return text
