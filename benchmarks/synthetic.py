"""The synthetic study of the MMoE paper (Ma et al. 2018, section 3.2): tasks with less and less in common.

    python benchmarks/synthetic.py [--seeds N] [--plot docs/synthetic.svg]

Two regressions of x in R^d. With orthogonal unit vectors u1 and u2, w1 = c u1, w2 = c (p u1 + sqrt(1-p^2) u2)
and y_k = w_k x + sum_i sin(a_i w_k x + b_i) + noise: the labels' correlation falls with p. Every model has
about as many weights, sees the same rows in the same order, and is measured on other rows by the mean of both
tasks' squared errors. A seed draws the world, the rows and the initial weights. The exit code is 1 where, at
the lowest correlation, MMoE or PLE is not ahead of hard sharing by the 95 % interval of the paired difference
over seeds.
"""

import argparse
import json
import sys
from pathlib import Path

import keras
import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import stats

from mtl_models import PLE, HardSharing, Layout, MMoE, MultiTaskModel, Task, array_batches

BARS = json.loads(Path(__file__).with_suffix(".json").read_text())
ARCHITECTURES = {
    "hard_sharing": lambda: HardSharing(**BARS["architectures"]["hard_sharing"]),
    "mmoe": lambda: MMoE(**BARS["architectures"]["mmoe"]),
    "ple": lambda: PLE(**BARS["architectures"]["ple"]),
}
COLORS = {"hard_sharing": "#b23a48", "mmoe": "#1f6f8b", "ple": "#3a7d44"}


def world(p: float, rows: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Inputs `[rows, d]` and labels `[rows, 2]` of a world in which the weights' cosine is p."""
    d, waves = BARS["dimension"], BARS["waves"]
    u1, u2 = np.linalg.qr(generator.normal(size=(d, 2)))[0].T
    weights = BARS["scale"] * np.stack([u1, p * u1 + np.sqrt(1 - p * p) * u2])
    frequency = generator.normal(1.0, 0.5, waves) * BARS["frequency"]
    phase = generator.uniform(0, 2 * np.pi, waves)
    x = generator.normal(size=(rows, d))
    projected = x @ weights.T
    labels = projected + np.sin(projected[..., None] * frequency + phase).sum(-1)
    return x.astype("float32"), (labels + generator.normal(0, BARS["noise"], labels.shape)).astype("float32")


def error(name: str, seed: int, x: np.ndarray, y: np.ndarray) -> tuple[float, int]:
    """Mean squared error of both tasks on the held-out rows, and how many weights the model has."""
    train = len(x) - BARS["test_rows"]
    keras.utils.set_random_seed(seed)
    layout = Layout.of({}, [f"x{i}" for i in range(x.shape[1])])
    names = ("first", "second")
    tasks = [
        Task(n, "regression", "mse", scale=float(y[:train, i].std()), offset=float(y[:train, i].mean()))
        for i, n in enumerate(names)
    ]
    model = MultiTaskModel(
        layout, tasks, ARCHITECTURES[name](), tower_units=tuple(BARS["tower_units"]), seed=seed
    )
    model.compile(keras.optimizers.Adam(BARS["learning_rate"]), steps_per_execution=32)
    labels = {n: y[:train, i] for i, n in enumerate(names)}
    batches = array_batches(({"numbers": x[:train]}, labels), BARS["batch_size"], seed=seed)
    model.fit(batches, epochs=BARS["epochs"], verbose=0, shuffle=False)
    found = model.predict({"numbers": x[train:]}, batch_size=8192, verbose=0)
    errors = [np.mean((found[n] - y[train:, i]) ** 2) for i, n in enumerate(names)]
    return float(np.mean(errors)), model.count_params()


def half_interval(values: np.ndarray) -> float:
    """Half of the 95 % interval of a mean, by Student's t."""
    return float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))


def plot(found: dict, path: Path) -> None:
    """Errors over the correlation as an SVG, with intervals."""
    width, height, left, bottom, top = 640, 360, 70, 50, 40
    points = list(BARS["correlations"])
    spans = {(n, p): (np.mean(v), half_interval(np.array(v))) for (n, p), v in found.items()}
    high = max(m + h for m, h in spans.values()) * 1.05
    place_x = lambda p: left + (1 - p) * (width - left - 130)  # noqa: E731
    place_y = lambda v: height - bottom - v / high * (height - bottom - top)  # noqa: E731
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        'font-size="12"><rect width="100%" height="100%" fill="white"/>',
        f'<text x="{left}" y="20">Squared error of both tasks, mean and 95 % interval of seeds</text>',
        f'<text x="{left}" y="{height - 12}">cosine of the tasks&#39; weights</text>',
    ]
    for value in np.linspace(0, high, 5):
        y = place_y(value)
        parts.append(f'<path d="M{left} {y:.1f}H{width - 130}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.2f}</text>')
    for p in points:
        parts.append(f'<text x="{place_x(p):.1f}" y="{height - 32}" text-anchor="middle">{p:g}</text>')
    for i, (name, color) in enumerate(COLORS.items()):
        line = " ".join(f"{place_x(p):.1f},{place_y(spans[name, p][0]):.1f}" for p in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>')
        for p in points:
            mean, half = spans[name, p]
            x = place_x(p) + 4 * (i - 1)
            parts.append(
                f'<path d="M{x:.1f} {place_y(mean - half):.1f}V{place_y(mean + half):.1f}" '
                f'stroke="{color}" stroke-width="2"/>'
            )
        parts.append(f'<text x="{width - 120}" y="{60 + 20 * i}" fill="{color}">{name}</text>')
    path.write_text("\n".join(parts) + "\n</svg>\n")


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--seeds", type=int, default=BARS["seeds"])
    arguments.add_argument("--plot", type=Path, help="an SVG file to write")
    given = arguments.parse_args()
    found: dict = {(n, p): [] for n in ARCHITECTURES for p in BARS["correlations"]}
    weights, correlations = {}, {p: [] for p in BARS["correlations"]}
    for seed in range(given.seeds):
        for p in BARS["correlations"]:
            x, y = world(p, BARS["train_rows"] + BARS["test_rows"], np.random.default_rng(seed))
            correlations[p].append(np.corrcoef(y.T)[0, 1])
            for name in ARCHITECTURES:
                value, weights[name] = error(name, seed, x, y)
                found[name, p].append(value)
        print(f"seed {seed} done", flush=True)
    table = Table("cosine", "labels' correlation", *[f"{n} ({w:,} weights)" for n, w in weights.items()])
    for p in BARS["correlations"]:
        shown = [
            f"{np.mean(v):.3f} ± {half_interval(np.array(v)):.3f}" for v in (found[n, p] for n in weights)
        ]
        table.add_row(f"{p:g}", f"{np.mean(correlations[p]):.2f}", *shown)
    console, missed = Console(width=120), []
    console.print(table)
    lowest = min(BARS["correlations"])
    for name in ("mmoe", "ple"):
        ahead = np.array(found["hard_sharing", lowest]) - np.array(found[name, lowest])
        half = half_interval(ahead)
        console.print(f"{name} ahead of hard sharing at cosine {lowest:g}: {ahead.mean():.3f} ± {half:.3f}")
        missed += [] if ahead.mean() - half > 0 else [name]
    if given.plot:
        plot(found, given.plot)
    console.print(f"missed: {', '.join(missed)}" if missed else "every bar is met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
