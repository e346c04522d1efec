"""The peers of train_speed.py, run by an interpreter that has PyTorch and torch-rechub (rechub.lock).

    python train_speed_torch.py ROWS.npz SETTINGS

SETTINGS names the architecture and who trains it: `rechub` is torch-rechub's model, DataLoader and trainer,
`loop` the same model (its matmuls are the ones that one would write) trained by a loop that slices batches
from arrays in memory, `sparse` the loop with sparse gradients of the table and SparseAdam for it. All read
the file first; an epoch ends when its last step has. Prints `{"seconds": s, "step": s}` as JSON on the last
line: reading and the first epoch, and a step of the fastest of `epochs` epochs.
"""

import json
import sys
import time

import numpy as np
import torch
from torch import nn
from torch_rechub.basic.features import DenseFeature, SparseFeature
from torch_rechub.models.multi_task import MMOE, PLE, SharedBottom
from torch_rechub.trainers import MTLTrainer
from torch_rechub.utils.data import DataGenerator


class Stack(nn.Module):
    """Equally shaped one-layer experts as one matmul: [B, D] to [B, experts, units]."""

    def __init__(self, experts: int, width: int, units: int):
        super().__init__()
        self.linear, self.shape = nn.Linear(width, experts * units), (experts, units)

    def forward(self, x):
        return torch.relu(self.linear(x)).view(-1, *self.shape)


class Written(nn.Module):
    """The same models by hand: one embedding table with offsets, all experts as one matmul."""

    def __init__(self, settings: dict, ids: int, numbers: int, tasks: int):
        super().__init__()
        name, of = settings["architecture"], settings["architectures"][settings["architecture"]]
        self.tasks, self.name = tasks, name
        sparse = settings["who"] == "sparse"
        self.table = nn.Embedding(ids * settings["ids"], settings["embedding_dim"], sparse=sparse)
        self.register_buffer("offsets", torch.arange(ids) * settings["ids"])
        width, units = ids * settings["embedding_dim"] + numbers, of["units"][-1]
        own = of.get("task_experts", 0)
        shared = {"hard_sharing": 1, "mmoe": of.get("experts"), "ple": of.get("shared_experts")}[name]
        self.own, self.shared = own, shared
        self.experts = Stack(own * tasks + shared, width, units)
        self.gates = None if name == "hard_sharing" else nn.Linear(width, tasks * (own + shared))
        hidden = settings["tower_units"][0]
        self.towers = nn.ModuleList(
            nn.Sequential(nn.Linear(units, hidden), nn.ReLU(), nn.Linear(hidden, 1)) for _ in range(tasks)
        )

    def forward(self, ids, numbers):
        x = torch.cat([self.table(ids + self.offsets).flatten(1), numbers], 1)
        experts = self.experts(x)
        if self.gates is None:
            features = [experts[:, 0]] * self.tasks
        else:
            gates = self.gates(x).view(len(x), self.tasks, -1).softmax(-1)
            if self.own:
                cut = self.own * self.tasks
                seen = [
                    torch.cat([experts[:, i * self.own : (i + 1) * self.own], experts[:, cut:]], 1)
                    for i in range(self.tasks)
                ]
                features = [torch.einsum("be,beu->bu", gates[:, i], seen[i]) for i in range(self.tasks)]
            else:
                features = torch.einsum("bte,beu->tbu", gates, experts)
        return torch.cat([tower(f) for tower, f in zip(self.towers, features)], 1)


def rechub(settings: dict, read: dict) -> list[float]:
    """Seconds of each epoch."""
    name, of = settings["architecture"], settings["architectures"][settings["architecture"]]
    inputs = {f"w{i}": read["ids"][:, i] for i in range(read["ids"].shape[1])}
    inputs |= {f"n{i}": read["numbers"][:, i] for i in range(read["numbers"].shape[1])}
    features = [DenseFeature(n) for n in inputs if n[0] == "n"]
    features += [
        SparseFeature(n, vocab_size=settings["ids"], embed_dim=settings["embedding_dim"])
        for n in inputs
        if n[0] == "w"
    ]
    tasks = read["labels"].shape[1]
    kinds, towers = ["classification"] * tasks, [{"dims": settings["tower_units"]}] * tasks
    if name == "hard_sharing":
        model = SharedBottom(features, kinds, {"dims": of["units"]}, towers)
    elif name == "mmoe":
        model = MMOE(features, kinds, of["experts"], {"dims": of["units"]}, towers)
    else:
        experts = {"dims": of["units"]}
        own, shared = of["task_experts"], of["shared_experts"]
        model = PLE(features, kinds, of["levels"], own, shared, experts, towers)
    loader, _, _ = DataGenerator(inputs, read["labels"]).generate_dataloader(
        x_val=inputs,
        y_val=read["labels"],
        x_test=inputs,
        y_test=read["labels"],
        batch_size=settings["batch_size"],
    )
    trainer = MTLTrainer(model, kinds, torch.optim.Adam, {"lr": 1e-3}, n_epoch=1)
    return timed(settings, lambda: trainer.train_one_epoch(loader))


def loop(settings: dict, read: dict) -> list[float]:
    """Seconds of each epoch."""
    ids, numbers, labels = (torch.from_numpy(read[n]) for n in ("ids", "numbers", "labels"))
    model = Written(settings, ids.shape[1], numbers.shape[1], labels.shape[1])
    loss, adam = nn.BCEWithLogitsLoss(), torch.optim.Adam
    if settings["who"] == "sparse":
        dense = [p for p in model.parameters() if p is not model.table.weight]
        optimizers = [torch.optim.SparseAdam([model.table.weight], 1e-3), adam(dense, 1e-3)]
    else:
        optimizers = [adam(model.parameters(), 1e-3)]

    def epoch() -> None:
        for part in torch.randperm(len(labels)).split(settings["batch_size"]):
            total = loss(model(ids[part], numbers[part]), labels[part])
            for optimizer in optimizers:
                optimizer.zero_grad()
            total.backward()
            for optimizer in optimizers:
                optimizer.step()

    return timed(settings, epoch)


def timed(settings: dict, epoch) -> list[float]:
    taken = []
    for _ in range(settings["epochs"]):
        begin = time.perf_counter()
        epoch()
        taken.append(time.perf_counter() - begin)
    return taken


if __name__ == "__main__":
    given = json.loads(sys.argv[2])
    torch.manual_seed(0)
    torch.set_num_threads(given["threads"])
    start = time.perf_counter()
    with np.load(sys.argv[1]) as file:
        arrays = {n: file[n] for n in file.files}
    reading = time.perf_counter() - start
    seconds = {"rechub": rechub, "loop": loop, "sparse": loop}[given["who"]](given, arrays)
    steps = -(-len(arrays["labels"]) // given["batch_size"])
    print(json.dumps({"seconds": reading + seconds[0], "step": min(seconds) / steps}))
