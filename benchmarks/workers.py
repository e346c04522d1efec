"""What a training step costs on one process and on several workers, which talk over localhost.

    python benchmarks/workers.py [--workers 2] [--steps 200]

A model as train_speed.py's MMoE, without XLA, which steps of several workers do not have. The workers share
this machine's cores, so that what is seen is the price of talking and of what every worker does alike, and not
a gain: each takes `batch / workers` rows of a step.
"""

import argparse
import json
import os
import random
import socket
import subprocess
import sys
import time

_WORKER = "--as"


def free_ports(count: int) -> list[int]:
    """Ports of localhost that nobody listens on.

    From below those that systems give to connections: one of theirs may be taken before it is listened on.
    """
    found: list[int] = []
    for port in random.SystemRandom().sample(range(20_000, 32_000), 12_000):
        with socket.socket() as one:
            try:
                one.bind(("localhost", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise OSError("no port of localhost from 20000 to 31999 is free")


def measured(steps: int, batch: int) -> float:
    """Seconds a step in this process, of which TF_CONFIG may name others."""
    import contextlib

    import keras
    import numpy as np
    import tensorflow as tf

    strategy = tf.distribute.MultiWorkerMirroredStrategy() if "TF_CONFIG" in os.environ else None

    import mtl_models as m

    with strategy.scope() if strategy else contextlib.nullcontext():
        made = m.MultiTaskModel(
            m.Layout.of({f"w{i}": 1000 for i in range(33)}, [f"n{i}" for i in range(7)]),
            [m.Task(f"t{i}", "binary", offset=0.3) for i in range(2)],
            m.MMoE(experts=8, units=(16,)),
            tower_units=(8,),
            embedding_dim=4,
        )
        made.compile(keras.optimizers.Adam(1e-3), m.RowAdam(1e-3), steps_per_execution=20)
    generator = np.random.default_rng(0)
    rows = steps * batch
    ids = generator.integers(0, 1000, (rows, 33), dtype="int32") + np.arange(33, dtype="int32") * 1000
    x = {"ids": ids, "numbers": generator.normal(size=(rows, 7)).astype("float32")}
    y = {f"t{i}": (generator.random(rows) < 0.3).astype("float32") for i in range(2)}
    ends = []
    told = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs=None: ends.append(time.perf_counter())
    )
    made.fit(m.array_batches((x, y), batch), epochs=1, verbose=0, shuffle=False, callbacks=[told])
    return (ends[-1] - ends[0]) / (20 * (len(ends) - 1)) if ends else 0.0


def of_workers(count: int, steps: int, batch: int) -> float:
    """Seconds a step of so many workers."""
    cluster = {"worker": [f"localhost:{port}" for port in free_ports(count)]}
    started = []
    for index in range(count):
        config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        command = [sys.executable, __file__, _WORKER, "worker", "--steps", str(steps), "--batch", str(batch)]
        started.append(
            subprocess.Popen(
                command, env={**os.environ, "TF_CONFIG": config}, stdout=subprocess.PIPE, text=True
            )
        )
    told = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        raise RuntimeError("a worker failed; what it said is above")
    return json.loads(told[0].splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=0, help="rows a step; 1,024 and 8,192 where left out")
    parser.add_argument(_WORKER, dest="role", choices=["main", "worker"], default="main")
    given = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if given.role == "worker":
        print(json.dumps(measured(given.steps, given.batch)))
        return
    for batch in [given.batch] if given.batch else [1024, 8192]:
        together = of_workers(given.workers, given.steps, batch)
        alone = measured(given.steps, batch)
        print(
            f"batch {batch:,}: a step in ms: one process {1000 * alone:.1f}, {given.workers} workers "
            f"{1000 * together:.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
