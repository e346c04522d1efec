"""Writes reference.npz: weights that TorchJD gives on random Gram matrices and losses, in float64.

    python make_reference.py     # torch 2.15.0 (CPU), torchjd[full] 0.18.0, numpy 2.4.6, clarabel 0.11.1

Neither torch nor TorchJD is a dependency of the tests, which read the file. Settings that make TorchJD
approximate its own definition are turned off: the ridge and cut-offs of UPGrad and CAGrad, CAGrad's solver
tolerance, NashMTL's early stop and step length. MGDA's Frank-Wolfe steps do not reach 1e-5 in any reasonable
number beyond 3 tasks: "mgda_exact" is the same quadratic program by quadprog.
"""

from pathlib import Path

import cvxpy
import numpy as np
import quadprog
import torch
from torchjd import aggregation, scalarization
from torchjd._linalg import QuadprogProjector
from torchjd.aggregation._nash_mtl import _NashMTLWeighting

TASKS = (2, 3, 4, 8, 16)
SPREADS = (0.0, 0.0, 1.0, 2.0)
STEPS = 8

solve = cvxpy.Problem.solve


def gram_matrices(rng, tasks: int) -> np.ndarray:
    """[4, T, T] float32: gradients that conflict or, by a common part, do not, of like or unlike norms."""
    found = []
    for number, spread in enumerate(SPREADS):
        gradients = rng.normal(size=(tasks, 3 * tasks)) + (0.0, 0.3, -0.1, 0.2)[number]
        gradients *= np.exp(spread * rng.normal(size=(tasks, 1)))
        found.append(gradients @ gradients.T)
    return np.array(found, "float32")


class PresetOrders:
    """Replaces torch.randperm by given permutations."""

    def __init__(self, permutations):
        self.left = [torch.as_tensor(p) for p in permutations]

    def __enter__(self):
        self.original, torch.randperm = torch.randperm, lambda n: self.left.pop(0)

    def __exit__(self, *_):
        torch.randperm = self.original


def without(order, i) -> list[int]:
    """The order as GradVac draws it: positions among the tasks that are not i."""
    return [j - (j > i) for j in order if j != i]


def nash(gram: torch.Tensor) -> np.ndarray:
    tasks = len(gram)
    weighting = _NashMTLWeighting(tasks, max_norm=0.0, update_weights_every=1, optim_niter=40)
    weighting._stop_criteria = lambda gtg, alpha: weighting.alpha_param.value is None
    return weighting(torch.linalg.cholesky(gram)).numpy()


def least_norm(gram: np.ndarray) -> np.ndarray:
    tasks = len(gram)
    constraints = np.column_stack([np.ones(tasks), np.eye(tasks)])
    bounds = np.concatenate([[1.0], np.zeros(tasks)])
    return quadprog.solve_qp(gram / np.trace(gram), np.zeros(tasks), constraints, bounds, 1)[0]


def tightly(problem, solver) -> None:
    """Replaces cvxpy's solve in CAGrad, for a duality gap of 1e-14."""
    solve(problem, solver=solver, tol_gap_abs=1e-14, tol_gap_rel=1e-14, tol_feas=1e-14)


def cagrad(c: float, gram: torch.Tensor) -> torch.Tensor:
    cvxpy.Problem.solve = tightly
    try:
        return aggregation.CAGradWeighting(c=c, norm_eps=0.0)(gram)
    finally:
        cvxpy.Problem.solve = solve


def gram_methods(gram: np.ndarray, orders: np.ndarray) -> dict[str, np.ndarray]:
    g = torch.as_tensor(gram, dtype=torch.float64)
    projector = QuadprogProjector(norm_eps=0.0, reg_eps=0.0)
    found = {
        "mgda": aggregation.MGDAWeighting(epsilon=1e-15, max_iters=2_000)(g),
        "mgda_exact": least_norm(gram.astype("float64")),
        "upgrad": aggregation.UPGradWeighting(projector=projector)(g),
        "cagrad_0.4": cagrad(0.4, g),
        "cagrad_1.5": cagrad(1.5, g),
        "aligned": aggregation.AlignedMTLWeighting()(g),
        "imtl": aggregation.IMTLGWeighting()(g),
        "nash": nash(g),
    }
    with PresetOrders(orders):
        found["pcgrad"] = aggregation.PCGradWeighting()(g)
    return {name: np.asarray(weights) for name, weights in found.items()}


def gradvac(grams: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """[steps, T]: weights over a sequence of Gram matrices."""
    weighting = aggregation.GradVacWeighting(beta=0.3, eps=0.0)
    found = []
    for gram, order in zip(grams, orders):
        with PresetOrders([without(row, i) for i, row in enumerate(order)]):
            found.append(weighting(torch.as_tensor(gram, dtype=torch.float64)).numpy())
    return np.array(found)


def gradient(scalarizer, losses: np.ndarray) -> np.ndarray:
    values = torch.tensor(losses, dtype=torch.float64, requires_grad=True)
    return torch.autograd.grad(scalarizer(values), values)[0].numpy()


def loss_methods(rng, tasks: int) -> dict[str, np.ndarray]:
    """Gradients of TorchJD's scalarizations with respect to the losses, over a sequence."""
    losses = np.exp(1.5 * rng.normal(size=(STEPS, tasks))).astype("float32")
    after = (losses * np.exp(0.1 * rng.normal(size=(STEPS, tasks)))).astype("float32")
    lambdas = 1 / losses[0].astype("float64")
    lambdas /= lambdas.sum()
    dwa, famo = scalarization.DWA(1.5), scalarization.FAMO(tasks, lr=0.1, weight_decay=0.01).double()
    uncertainty = scalarization.UW(tasks).double()
    with torch.no_grad():
        uncertainty.log_var.copy_(torch.linspace(-2, 2, tasks))
    fixed = scalarization.Constant(torch.linspace(0.5, 2, tasks, dtype=torch.float64))
    found = {name: [] for name in ("equal", "fixed", "dwa", "famo", "gls", "stch", "uncertainty")}
    for before, later in zip(losses.astype("float64"), after.astype("float64")):
        found["equal"].append(gradient(scalarization.Sum(), before))
        found["fixed"].append(gradient(fixed, before))
        found["dwa"].append(gradient(dwa, before))
        dwa.step()  # every batch an epoch
        found["famo"].append(gradient(famo, before))
        famo.update(torch.as_tensor(later))
        found["gls"].append(gradient(scalarization.GeometricMean(), before))
        # mu relative to the scale of λ L, as mtl_models' is of L / N
        mu = 0.5 / (1 / losses[0].astype("float64")).sum()
        found["stch"].append(gradient(scalarization.STCH(mu, torch.as_tensor(lambdas)), before))
        found["uncertainty"].append(gradient(uncertainty, before))
    return {"losses": losses, "after": after} | {name: np.array(rows) for name, rows in found.items()}


def main() -> None:
    rng = np.random.default_rng(4)
    arrays = {}
    for tasks in TASKS:
        grams = gram_matrices(rng, tasks)
        orders = np.array([[rng.permutation(tasks) for _ in range(tasks)] for _ in grams])
        rows = [gram_methods(gram, order) for gram, order in zip(grams, orders)]
        found = {name: np.array([row[name] for row in rows]) for name in rows[0]}
        found |= {"gram": grams, "orders": orders.astype("int8"), "gradvac": gradvac(grams, orders)}
        arrays |= {f"{tasks}/{name}": value for name, value in (found | loss_methods(rng, tasks)).items()}
    np.savez_compressed(Path(__file__).with_name("reference.npz"), **arrays)


if __name__ == "__main__":
    main()
