"""The synthetic study of the MMoE paper (Ma et al. 2018, section 3.2): tasks with less and less in common.

    python benchmarks/synthetic.py [--worlds N] [--output FOLDER] [--plot docs/synthetic.svg]

Two regressions of x in R^d. With orthogonal unit vectors u1 and u2, w1 = c u1, w2 = c (p u1 + sqrt(1-p^2)
u2) and y_k = w_k x + sum_i sin(a_i w_k x + b_i) + noise: the labels' correlation falls with p. Widths are
the paper's (8 experts of 16, towers of 8, a shared layer of 113), so every model has about as many weights;
each sees the same rows in the same order and is measured on other rows by the mean of both tasks' squared
errors. A world draws the vectors, the waves, the rows and the initial weights, and models are compared
within it: what is averaged is the logarithm of hard sharing's error over the other's, since worlds differ in
difficulty far more than models do. Bars are in synthetic.json; the exit code is 1 where, at the lowest
cosine, the lower end of MMoE's or PLE's 95 % interval is not above `least_gain`. What was trained is kept in
OUTPUT and not trained again.
"""

import argparse
import hashlib
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
COLORS = {"mmoe": "#1f6f8b", "ple": "#3a7d44"}


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
    """The gains over hard sharing by cosine as an SVG, with intervals."""
    width, height, left, bottom, top, right = 640, 360, 70, 50, 40, 130
    points = list(BARS["correlations"])
    spans = {
        (n, p): (gains(found, n, p).mean(), half_interval(gains(found, n, p))) for n in COLORS for p in points
    }
    high = 1.1 * max(abs(m) + h for m, h in spans.values())

    def place_x(p: float) -> float:
        return left + 30 + (max(points) - p) / (max(points) - min(points)) * (width - left - right - 60)

    def place_y(value: float) -> float:
        return top + (high - value) / (2 * high) * (height - bottom - top)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        'font-size="12"><rect width="100%" height="100%" fill="white"/>',
        f'<text x="{left}" y="20">log(error of hard sharing / error), mean and 95 % interval over '
        f"{len(found['hard_sharing', points[0]])} worlds</text>",
        f'<text x="{left}" y="{height - 12}">cosine of the tasks&#39; weights</text>',
    ]
    for value in np.linspace(-high, high, 5):
        y = place_y(value)
        stroke = "#888" if value == 0 else "#ddd"
        parts.append(f'<path d="M{left} {y:.1f}H{width - right}" stroke="{stroke}"/>')
        parts.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{value:+.2f}</text>')
    for p in points:
        parts.append(f'<text x="{place_x(p):.1f}" y="{height - 32}" text-anchor="middle">{p:g}</text>')
    for i, (name, color) in enumerate(COLORS.items()):
        shift = 6 * i - 3
        line = " ".join(f"{place_x(p) + shift:.1f},{place_y(spans[name, p][0]):.1f}" for p in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>')
        for p in points:
            mean, half = spans[name, p]
            parts.append(
                f'<path d="M{place_x(p) + shift:.1f} {place_y(mean - half):.1f}V{place_y(mean + half):.1f}" '
                f'stroke="{color}" stroke-width="2"/>'
            )
        parts.append(f'<text x="{width - right + 10}" y="{60 + 20 * i}" fill="{color}">{name}</text>')
    path.write_text("\n".join(parts) + "\n</svg>\n")


def trained(worlds: int, kept: Path) -> tuple[dict, dict, dict]:
    """Errors by architecture and cosine, labels' correlations by cosine, and the models' weights."""
    settings = json.dumps({k: v for k, v in BARS.items() if k not in ("worlds", "least_gain")})
    path = kept / f"synthetic-{hashlib.sha256(settings.encode()).hexdigest()[:12]}.json"
    kept.mkdir(parents=True, exist_ok=True)
    done = json.loads(path.read_text()) if path.exists() else {}
    found: dict = {(n, p): [] for n in ARCHITECTURES for p in BARS["correlations"]}
    correlations: dict = {p: [] for p in BARS["correlations"]}
    weights = {}
    for number in range(worlds):
        for p in BARS["correlations"]:
            if f"{number}/{p}" not in done:
                x, y = world(p, BARS["train_rows"] + BARS["test_rows"], np.random.default_rng(number))
                errors = {name: error(name, number, x, y) for name in ARCHITECTURES}
                done[f"{number}/{p}"] = {"correlation": np.corrcoef(y.T)[0, 1], "errors": errors}
                path.write_text(json.dumps(done))
            result = done[f"{number}/{p}"]
            correlations[p].append(result["correlation"])
            for name, (value, weights[name]) in result["errors"].items():
                found[name, p].append(value)
        print(f"world {number} done", flush=True)
    return found, correlations, weights


def gains(found: dict, name: str, p: float) -> np.ndarray:
    """Of each world the logarithm of hard sharing's error over this one's: .1 is an error lower by 10 %."""
    return np.log(np.array(found["hard_sharing", p]) / np.array(found[name, p]))


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--worlds", type=int, default=BARS["worlds"])
    arguments.add_argument("--output", type=Path, default=Path("output/benchmark"))
    arguments.add_argument("--plot", type=Path, help="an SVG file to write")
    given = arguments.parse_args()
    found, correlations, weights = trained(given.worlds, given.output)
    others = [name for name in ARCHITECTURES if name != "hard_sharing"]
    table = Table(
        "cosine",
        "labels' correlation",
        *[f"{n} ({w:,} weights)" for n, w in weights.items()],
        *[f"log error ratio, {n}" for n in others],
    )
    for p in BARS["correlations"]:
        means = [f"{np.exp(np.mean(np.log(found[n, p]))):.4f}" for n in weights]
        ratios = [
            f"{gains(found, n, p).mean():+.3f} ± {half_interval(gains(found, n, p)):.3f}" for n in others
        ]
        table.add_row(f"{p:g}", f"{np.mean(correlations[p]):.2f}", *means, *ratios)
    console, missed = Console(width=140), []
    console.print(table)
    console.print("errors are geometric means over worlds; a ratio above 0 is in favour of the other model")
    lowest = min(BARS["correlations"])
    for name in others:
        gain = gains(found, name, lowest)
        half, ahead = half_interval(gain), int((gain > 0).sum())
        console.print(
            f"{name} beside hard sharing at cosine {lowest:g}: log ratio of errors {gain.mean():+.3f} "
            f"± {half:.3f}, ahead in {ahead} of {len(gain)} worlds"
        )
        missed += [] if gain.mean() - half > BARS["least_gain"] else [name]
    if given.plot:
        plot(found, given.plot)
    console.print(f"missed: {', '.join(missed)}" if missed else "every bar is met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
