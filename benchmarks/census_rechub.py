"""The peer of census.py: one model of torch-rechub, run by an interpreter that has it (rechub.lock).

    python census_rechub.py ARRAYS.npz SETTINGS

Models and settings are those of torch-rechub's Census example (embedding 4, hard sharing 117 wide, MMoE of
8 experts x 16, PLE of one level, towers 8, Adam with weight decay). Batches are slices of arrays in memory in
place of its DataLoader, which handles every row alone: the same batches, several times faster. Loss is its
trainer's (the mean of the tasks' cross-entropies); the epoch is the best on validation by the mean AUC.
Prints `{"auc": [task], "epoch": n}` of the test half as JSON.
"""

import json
import sys

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch_rechub.basic.features import DenseFeature, SparseFeature
from torch_rechub.models.multi_task import MMOE, PLE, SharedBottom


def build(name: str, features: list, tasks: int):
    """A model of torch-rechub."""
    kinds, towers = ["classification"] * tasks, [{"dims": [8]}] * tasks
    if name == "hard_sharing":
        return SharedBottom(features, kinds, bottom_params={"dims": [117]}, tower_params_list=towers)
    if name == "mmoe":
        return MMOE(features, kinds, 8, expert_params={"dims": [16]}, tower_params_list=towers)
    return PLE(
        features,
        kinds,
        n_level=1,
        n_expert_specific=2,
        n_expert_shared=1,
        expert_params={"dims": [16]},
        tower_params_list=towers,
    )


def main(path: str, settings: dict) -> dict:
    torch.manual_seed(settings["seed"])
    torch.set_num_threads(settings["threads"])
    with np.load(path) as read:
        arrays = {n: torch.from_numpy(read[n]) for n in read.files}
    words, numbers = arrays["train/words"].shape[1], arrays["train/numbers"].shape[1]
    sizes = arrays["train/words"].amax(0) + 1
    features = [DenseFeature(f"n{i}") for i in range(numbers)]
    features += [
        SparseFeature(f"w{i}", vocab_size=int(sizes[i]), embed_dim=settings["embedding_dim"])
        for i in range(words)
    ]

    def inputs(split, chosen):
        w, n = arrays[f"{split}/words"][chosen], arrays[f"{split}/numbers"][chosen]
        return {f"w{i}": w[:, i] for i in range(words)} | {f"n{i}": n[:, i] for i in range(numbers)}

    labels = arrays["train/labels"]
    model = build(settings["architecture"], features, labels.shape[1])
    optimizer = torch.optim.Adam(
        model.parameters(), lr=settings["learning_rate"], weight_decay=settings["weight_decay"]
    )
    loss = torch.nn.BCELoss()

    def auc(split):
        model.eval()
        with torch.no_grad():
            rows = torch.arange(len(arrays[f"{split}/labels"]))
            scores = torch.cat([model(inputs(split, part)) for part in rows.split(8192)]).numpy()
        return [float(roc_auc_score(t, s)) for t, s in zip(arrays[f"{split}/labels"].numpy().T, scores.T)]

    best = {"validation": 0.0}
    for epoch in range(1, settings["epochs"] + 1):
        model.train()
        for part in torch.randperm(len(labels)).split(settings["batch_size"]):
            predicted = model(inputs("train", part))
            total = sum(loss(predicted[:, i], labels[part][:, i]) for i in range(labels.shape[1]))
            optimizer.zero_grad()
            (total / labels.shape[1]).backward()
            optimizer.step()
        validation = float(np.mean(auc("validation")))
        if validation > best["validation"]:
            best = {"validation": validation, "auc": auc("test"), "epoch": epoch}
        elif epoch - best["epoch"] >= settings["patience"]:
            break
    return best


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], json.loads(sys.argv[2]))))
