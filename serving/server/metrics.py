"""Counts and latencies in Prometheus' text format, by the names that TensorFlow Serving exports."""

import bisect
import threading
from collections import Counter, defaultdict

COUNT = ":tensorflow:serving:request_count"
LATENCY = ":tensorflow:serving:request_latency"
VERSION = ":mtl:serving:version"
# of a label's value in the exposition format
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_BOUNDS = tuple(10 * 1.8**k for k in range(33))  # microseconds, the buckets of TensorFlow Serving


class Metrics:
    """What happened to requests since the start."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._buckets: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * (len(_BOUNDS) + 1))
        self._sums: Counter[tuple[str, str]] = Counter()

    def record(self, model: str, entrypoint: str, status: str, seconds: float) -> None:
        """One predict request: `entrypoint` is REST or GRPC, `status` the name of its code."""
        with self._lock:
            self._counts[model, status] += 1
            if status == "OK":
                self._buckets[model, entrypoint][bisect.bisect_left(_BOUNDS, seconds * 1e6)] += 1
                self._sums[model, entrypoint] += seconds * 1e6

    def text(self, model: str, versions: dict[int, bool]) -> str:
        """The exposition; `versions` are those loaded, and whether each answers requests that name none."""
        with self._lock:
            lines = [f"# TYPE {COUNT} counter"]
            for (name, status), count in sorted(self._counts.items()):
                name = name.translate(_ESCAPES)
                lines.append(f'{COUNT}{{model_name="{name}",status="{status}"}} {count}')
            lines.append(f"# TYPE {LATENCY} histogram")
            for (name, entry), buckets in sorted(self._buckets.items()):
                labels = f'model_name="{name.translate(_ESCAPES)}",API="predict",entrypoint="{entry}"'
                total = 0
                for bound, count in zip([*(f"{b:.6g}" for b in _BOUNDS), "+Inf"], buckets):
                    total += count
                    lines.append(f'{LATENCY}_bucket{{{labels},le="{bound}"}} {total}')
                lines.append(f"{LATENCY}_sum{{{labels}}} {self._sums[name, entry]:.6g}")
                lines.append(f"{LATENCY}_count{{{labels}}} {total}")
        lines.append(f"# TYPE {VERSION} gauge")
        model = model.translate(_ESCAPES)
        for version, default in sorted(versions.items()):
            lines.append(f'{VERSION}{{model_name="{model}",version="{version}"}} {int(default)}')
        return "\n".join(lines) + "\n"
