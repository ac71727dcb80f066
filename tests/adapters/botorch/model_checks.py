"""What every BoTorch model of ours must do: one table of checks, run on each kind of model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from botorch.acquisition import (
    LogExpectedImprovement,
    PosteriorMean,
    UpperConfidenceBound,
    qKnowledgeGradient,
    qLogExpectedImprovement,
    qLogNoisyExpectedImprovement,
    qUpperConfidenceBound,
)
from botorch.acquisition.multi_objective import logei
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.generation import MaxPosteriorSampling
from botorch.models.model import Model
from botorch.optim import optimize_acqf
from botorch.sampling import SobolQMCNormalSampler
from botorch.utils.sampling import draw_sobol_samples, manual_seed
from torch import Tensor

from surrogate_opt.adapters.botorch.files import load_model, save_model
from surrogate_opt.errors import InputError


@dataclass(frozen=True, kw_only=True)
class ModelCase:
    """A kind of model under test.

    Attributes:
        model: of one output.
        pair: of two outputs.
        other: like ``model`` in what the state does not hold (architecture, a GP's data), unlike in the rest.
        bounds: the box, ``(2, d)``.
        can_be_conditioned: whether it takes new observations without training.
    """

    model: Model
    pair: Model
    other: Model
    bounds: Tensor
    can_be_conditioned: bool

    def points(self, *shape: int, seed: int = 0) -> Tensor:
        """Points inside the box, ``(*shape, d)``."""
        generator = torch.Generator().manual_seed(seed)
        dim = self.bounds.shape[1]
        unit = 0.05 + 0.9 * torch.rand(*shape, dim, generator=generator, dtype=torch.float64)
        return self.bounds[0] + (self.bounds[1] - self.bounds[0]) * unit

    def optimize(self, acquisition, q: int = 1) -> tuple[Tensor, Tensor]:
        with manual_seed(0):
            return optimize_acqf(
                acquisition,
                bounds=self.bounds,
                q=q,
                num_restarts=3,
                raw_samples=32,
                options={"maxiter": 15},
            )


def best_value(case: ModelCase) -> float:
    return float(case.model.posterior(case.points(20, seed=7)).mean.max())


def sampler() -> SobolQMCNormalSampler:
    return SobolQMCNormalSampler(torch.Size([32]), seed=0)


def check_shapes_of_batches(case: ModelCase) -> None:
    dim = case.bounds.shape[1]
    for model, m in ((case.model, 1), (case.pair, 2)):
        assert model.num_outputs == m
        assert model.batch_shape == torch.Size()
        for batch in ((), (4,), (2, 3), (2, 1, 3)):  # ranks 2 to 5
            for q in (1, 3):
                x = case.points(*batch, q)
                posterior = model.posterior(x)
                assert posterior.mean.shape == posterior.variance.shape == (*batch, q, m)
                assert posterior.rsample(torch.Size([6])).shape == (6, *batch, q, m)
                flat = model.posterior(x.reshape(-1, 1, dim))
                torch.testing.assert_close(posterior.mean.reshape(-1, 1, m), flat.mean, rtol=1e-9, atol=1e-9)
                torch.testing.assert_close(
                    posterior.variance.reshape(-1, 1, m), flat.variance, rtol=1e-6, atol=1e-9
                )
                assert (posterior.variance > 0.0).all()


def check_single_points_in_a_batch_are_not_taken_for_q(case: ModelCase) -> None:
    x = case.points(5, 1)
    acquisition = qLogExpectedImprovement(case.model, best_value(case))
    values = acquisition(x)
    assert values.shape == (5,)
    singly = torch.stack([acquisition(point) for point in x]).squeeze(-1)
    torch.testing.assert_close(values, singly, rtol=1e-6, atol=1e-6)
    assert acquisition(x.transpose(0, 1)).shape == (1,)


def check_gradients_of_the_moments(case: ModelCase) -> None:
    x = case.points(3, 2)
    for moment in ("mean", "variance"):

        def value(at: Tensor, moment: str = moment) -> Tensor:
            return getattr(case.pair.posterior(at), moment)

        leaf = x.clone().requires_grad_()
        for output in range(2):
            gradient = torch.autograd.grad(value(leaf)[..., output].sum(), leaf)[0]
            assert gradient.abs().max() > 0.0
            for column, width in enumerate(case.bounds[1] - case.bounds[0]):
                step = torch.zeros_like(width).expand(x.shape[-1]).clone()
                step[column] = 1e-5 * width
                slope = ((value(x + step) - value(x - step)) / (2.0 * step[column]))[..., output].detach()
                torch.testing.assert_close(gradient[..., column] * width, slope * width, rtol=1e-4, atol=1e-5)


def check_equal_points_get_equal_values(case: ModelCase) -> None:
    point = case.points(1, 1)
    acquisition = qLogExpectedImprovement(case.model, best_value(case) - 0.1)
    among_others = torch.cat([point, case.points(2, 1, seed=1), point, point])
    values = acquisition(among_others)
    torch.testing.assert_close(values[[0, 3, 4]], acquisition(point).expand(3), rtol=1e-9, atol=1e-9)
    variance = case.model.posterior(point.expand(1, 3, -1)).variance
    torch.testing.assert_close(variance, variance[:, :1].expand_as(variance))


def check_dropping_a_restart_changes_no_other(case: ModelCase) -> None:
    x = case.points(4, 2)
    kept = [0, 2, 3]
    for acquisition in (
        qLogExpectedImprovement(case.model, best_value(case)),
        qLogNoisyExpectedImprovement(case.model, case.points(6, seed=3), prune_baseline=False),
    ):
        all_leaf, kept_leaf = x.clone().requires_grad_(), x[kept].clone().requires_grad_()
        all_values, kept_values = acquisition(all_leaf), acquisition(kept_leaf)
        torch.testing.assert_close(all_values[kept], kept_values, rtol=1e-7, atol=1e-7)
        gradients = torch.autograd.grad(all_values[kept].sum(), all_leaf)[0][kept]
        torch.testing.assert_close(
            gradients, torch.autograd.grad(kept_values.sum(), kept_leaf)[0], rtol=1e-5, atol=1e-6
        )


def check_float32_points_leave_the_model_in_float64(case: ModelCase) -> None:
    x = case.points(4, 1)
    before = case.model.posterior(x)
    acquisition = LogExpectedImprovement(case.model, best_value(case))
    in_double = acquisition(x)
    in_single = acquisition(x.float())  # calls .to(float32) on the model
    torch.testing.assert_close(in_single.double(), in_double, rtol=1e-3, atol=1e-3)
    state = case.model.state_dict().values()
    assert all(tensor.dtype == torch.float64 for tensor in state if tensor.is_floating_point())
    after = case.model.posterior(x)
    assert torch.equal(after.mean, before.mean)
    assert torch.equal(after.variance, before.variance)
    assert after.mean.dtype == torch.float64


def check_subsets_of_outputs(case: ModelCase) -> None:
    x = case.points(2, 3)
    whole = case.pair.posterior(x)
    for indices in ([1], [0], [1, 0]):
        model = case.pair.subset_output(indices)
        assert model.num_outputs == len(indices)
        torch.testing.assert_close(model.posterior(x).mean, whole.mean[..., indices])
        torch.testing.assert_close(model.posterior(x).variance, whole.variance[..., indices])
    single = case.model.posterior(x)
    for indices in ([0], [-1]):
        model = case.model.subset_output(indices)
        assert model.num_outputs == 1
        torch.testing.assert_close(model.posterior(x).mean, single.mean)
        torch.testing.assert_close(model.posterior(x).variance, single.variance)


def check_the_state_holds_everything(case: ModelCase) -> None:
    x = case.points(3, 2)
    assert not torch.allclose(case.other.posterior(x).mean, case.model.posterior(x).mean)
    case.other.load_state_dict(case.model.state_dict())
    assert torch.equal(case.other.posterior(x).mean, case.model.posterior(x).mean)
    assert torch.equal(case.other.posterior(x).variance, case.model.posterior(x).variance)


def check_files_restore_identical_posteriors(case: ModelCase, folder: Path) -> None:
    x = case.points(3, 2)
    save_model(case.model, folder / "model.safetensors")
    loaded = load_model(folder / "model.safetensors")
    assert type(loaded) is type(case.model)
    before, after = case.model.posterior(x), loaded.posterior(x)
    assert torch.equal(after.mean, before.mean)
    assert torch.equal(after.variance, before.variance)
    draws = []
    for posterior in (before, after):
        with manual_seed(0):
            draws.append(posterior.rsample(torch.Size([4])))
    assert torch.equal(*draws)


def check_pending_points_are_part_of_the_batch(case: ModelCase) -> None:
    best, pending, x = best_value(case), case.points(1, seed=2), case.points(4, 1, seed=1)
    with_pending = qLogExpectedImprovement(case.model, best, sampler=sampler(), X_pending=pending)
    jointly = qLogExpectedImprovement(case.model, best, sampler=sampler())
    values = with_pending(x)
    torch.testing.assert_close(values, jointly(torch.cat([x, pending.expand(4, 1, -1)], dim=1)))
    assert (values >= jointly(x) - 0.5).all()  # a second chance, up to the smoothing and the samples


def check_samplers_made_by_hand(case: ModelCase) -> None:
    x = case.points(3, 2)
    posterior = case.pair.posterior(x)
    samples = SobolQMCNormalSampler(torch.Size([2048]), seed=0)(posterior)
    assert samples.shape == (2048, 3, 2, 2)
    std = posterior.variance.sqrt()
    # Quasi-Monte Carlo: the mean of 2,048 draws is far nearer than std / sqrt(2048)
    torch.testing.assert_close(
        (samples.mean(0) - posterior.mean) / std, torch.zeros_like(std), rtol=0, atol=0.02
    )
    torch.testing.assert_close(samples.std(0) / std, torch.ones_like(std), rtol=0, atol=0.05)


def check_thompson_sampling(case: ModelCase) -> None:
    candidates = case.points(50)
    strategy = MaxPosteriorSampling(case.model)
    with manual_seed(0):
        chosen = strategy(candidates, num_samples=8)
        in_batch = strategy(candidates.expand(2, -1, -1), num_samples=3)
    assert chosen.shape == (8, candidates.shape[1])
    assert in_batch.shape == (2, 3, candidates.shape[1])
    places = (chosen[:, None] == candidates).all(-1)
    assert places.any(1).all()
    mean = case.model.posterior(candidates).mean[:, 0]
    assert mean[places.double().argmax(1)].mean() > mean.mean()


ACQUISITIONS: dict[str, tuple[int, Callable[[ModelCase], object]]] = {
    "LogEI": (1, lambda case: LogExpectedImprovement(case.model, best_value(case))),
    "UCB": (1, lambda case: UpperConfidenceBound(case.model, beta=2.0)),
    "PosteriorMean": (1, lambda case: PosteriorMean(case.model)),
    "qLogEI": (2, lambda case: qLogExpectedImprovement(case.model, best_value(case))),
    "qLogEI with pending points": (
        2,
        lambda case: qLogExpectedImprovement(case.model, best_value(case), X_pending=case.points(2, seed=2)),
    ),
    "qLogEI with a sampler": (
        2,
        lambda case: qLogExpectedImprovement(case.model, best_value(case), sampler=sampler()),
    ),
    "qLogNEI": (2, lambda case: qLogNoisyExpectedImprovement(case.model, case.points(12, seed=3))),
    "qUCB": (2, lambda case: qUpperConfidenceBound(case.model, beta=2.0)),
    "qLogNEHVI": (
        2,
        lambda case: qLogNoisyExpectedHypervolumeImprovement(
            case.pair,
            ref_point=case.pair.posterior(case.points(12, seed=3)).mean.amin(0).tolist(),
            X_baseline=case.points(12, seed=3),
        ),
    ),
}


def check_acquisition(case: ModelCase, name: str) -> None:
    """The optimizer finds a point of the box that no random one beats."""
    q, make = ACQUISITIONS[name]
    with manual_seed(0), pytest.MonkeyPatch.context() as patch:
        patch.setattr(logei, "_load_attempted", True)  # else BoTorch compiles a kernel for a minute, once
        acquisition = make(case)
    x, value = case.optimize(acquisition, q)
    assert x.shape == (q, case.bounds.shape[1])
    assert x.isfinite().all()
    assert (x >= case.bounds[0]).all()
    assert (x <= case.bounds[1]).all()
    torch.testing.assert_close(acquisition(x).squeeze(0), value.to(acquisition(x)), rtol=1e-5, atol=1e-5)
    rivals = draw_sobol_samples(case.bounds, n=16, q=q, seed=5)
    leaf = rivals.clone().requires_grad_()
    values = acquisition(leaf)
    assert values.isfinite().all()
    assert torch.autograd.grad(values.sum(), leaf)[0].isfinite().all()
    assert value >= values.max() - 1e-6


def check_conditioning(case: ModelCase) -> None:
    x, y = case.points(2), torch.full((2, 1), best_value(case) + 1.0, dtype=torch.float64)
    if not case.can_be_conditioned:
        for refused in (
            lambda: case.model.condition_on_observations(x, y),
            lambda: case.model.fantasize(x, sampler()),
            lambda: case.optimize(qKnowledgeGradient(case.model, num_fantasies=2)),
        ):
            with pytest.raises(InputError, match=r"model: expected one that can be conditioned.*") as error:
                refused()
            assert "\n" not in str(error.value)
        return
    before = case.model.posterior(x)
    after = case.model.condition_on_observations(x, y).posterior(x)
    assert (after.variance < before.variance).all()
    assert ((after.mean - y).abs() < (before.mean - y).abs()).all()
    fantasies = case.model.fantasize(x, SobolQMCNormalSampler(torch.Size([3]), seed=0))
    assert fantasies.posterior(x).mean.shape == (3, 2, 1)
    gradient = qKnowledgeGradient(case.model, num_fantasies=2)
    chosen, value = case.optimize(gradient)
    assert chosen.shape == (1, case.bounds.shape[1])
    assert value.isfinite()


CHECKS: dict[str, Callable[[ModelCase], None]] = {
    function.__name__.removeprefix("check_"): function
    for function in (
        check_shapes_of_batches,
        check_single_points_in_a_batch_are_not_taken_for_q,
        check_gradients_of_the_moments,
        check_equal_points_get_equal_values,
        check_dropping_a_restart_changes_no_other,
        check_float32_points_leave_the_model_in_float64,
        check_subsets_of_outputs,
        check_the_state_holds_everything,
        check_pending_points_are_part_of_the_batch,
        check_samplers_made_by_hand,
        check_thompson_sampling,
        check_conditioning,
    )
}
