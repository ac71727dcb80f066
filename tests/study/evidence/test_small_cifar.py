"""The residual network on 2,000 CIFAR-10 images: network, cells on images made here, judgements on tables."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from surrogate_problems.datasets import Images
from torch.nn.functional import conv2d

from surrogate_opt.study.evidence import small_cifar as cifar
from surrogate_opt.study.evidence.resnet import ResidualBlock, ResidualNetwork

SPEC = cifar.SmallCifarSpec(filters=(4, 8), blocks=1, minibatches=12, batch_size=32, size=100, runs=2)
GAINS = {"none": 0.0, "spectreg": 3.61, "datagrad": 1.82, "confidence": 2.67}


def made_images(name, folder):
    generator = np.random.default_rng(0)
    labels = generator.integers(10, size=300)
    x = generator.integers(60, size=(300, 3, 32, 32), dtype=np.uint8)
    x[np.arange(300), :, 3 * labels, :] += 150
    return Images(name=name, x_train=x[:200], y_train=labels[:200], x_test=x[200:], y_test=labels[200:])


@pytest.fixture
def images(monkeypatch):
    monkeypatch.setattr(cifar, "load_images", made_images)


def test_the_network_has_about_the_papers_number_of_parameters():
    network = ResidualNetwork()
    assert sum(parameter.numel() for parameter in network.parameters()) == 2_436_346
    assert network(torch.rand(2, 3, 32, 32)).shape == (2, 10)


def test_levels_halve_the_positions():
    blocks = [
        layer for layer in ResidualNetwork((4, 8, 16), blocks=2).layers if isinstance(layer, ResidualBlock)
    ]
    x, sizes = torch.rand(1, 4, 32, 32), []
    for block in blocks:
        x = block(x)
        sizes.append((x.shape[1], x.shape[2]))
    assert sizes == [(4, 32), (4, 32), (8, 16), (8, 16), (16, 8), (16, 8)]


def test_a_block_adds_its_input():
    block = ResidualBlock(4, 4, 1).eval()
    x = torch.rand(2, 4, 5, 5)
    for parameter in block.residual[3].parameters():
        torch.nn.init.zeros_(parameter)
    assert torch.allclose(block(x), x)
    wider = ResidualBlock(4, 6, 2).eval()
    torch.nn.init.zeros_(wider.residual[3].weight)
    scale = (1.0 + wider.shortcut[1].eps) ** -0.5  # of batch normalization that has seen nothing
    expected = scale * conv2d(x, wider.shortcut[0].weight, stride=2)
    assert torch.allclose(wider(x), expected.relu(), atol=1e-6)


def test_a_cell_comes_out_the_same_again_and_others_do_not(images):
    listed = SPEC.cells(Path("nowhere"))
    spectreg, again, other_run, none = (
        cifar.run_small_cifar_cell(cell).rows[0] for cell in (listed[0], listed[0], listed[1], listed[-1])
    )
    place = {"method": "spectreg", "weight": 0.003, "run": 0}
    assert spectreg.items() >= place.items()
    assert (none["method"], none["weight"], none["run"]) == ("none", 0.0, 1)
    assert spectreg["test"] == again["test"] > 20.0  # ten classes
    assert spectreg["test"] != other_run["test"]


def test_methods_of_a_run_begin_alike(images, monkeypatch):
    seen = []

    def watched(network, loss, optimizer, x, y, **settings):
        seen.append((network.layers[0].weight.detach().clone(), y, settings["generator"].initial_seed()))

    monkeypatch.setattr(cifar, "train", watched)
    for cell in SPEC.cells(Path("nowhere")):
        cifar.run_small_cifar_cell(cell)
    for run in (0, 1):
        weights, labels, orders = zip(*seen[run::2], strict=True)
        assert all(torch.equal(own, weights[0]) for own in weights)
        assert all(torch.equal(own, labels[0]) for own in labels)
        assert len(set(orders)) == 1
    assert not torch.equal(seen[0][1], seen[1][1])
    assert not torch.equal(seen[0][0], seen[1][0])


def test_keys_depend_on_what_determines_a_cell_and_on_nothing_else():
    def keys(folder="a", **changes):
        return {cell.key for cell in cifar.SmallCifarSpec(**dict(SPEC) | changes).cells(Path(folder))}

    assert len(keys()) == 8
    assert keys("b", device="cuda") == keys()
    assert len(keys(runs=3) & keys()) == 8
    for name, value in (
        ("size", 101),
        ("filters", (4, 9)),
        ("blocks", 2),
        ("minibatches", 13),
        ("batch_size", 33),
        ("learning_rate", 0.2),
        ("momentum", 0.8),
        ("weight_decay", 0.0),
        ("test_size", 99),
    ):
        assert not keys(**{name: value}) & keys()


def made_table(gains=GAINS, runs=10):
    """Rows in which the paper is right, unless the gains say otherwise."""
    return pd.DataFrame(
        [
            {
                "method": method,
                "weight": cifar.WEIGHTS[method],
                "run": run,
                "test": 55.0 + run + gain,
                "seconds": 1.0,
            }
            for method, gain in gains.items()
            for run in range(runs)
        ]
    )


def verdicts(table):
    return [finding.verdict for finding in cifar.find_small_cifar(table)]


def test_the_papers_findings_are_found_where_they_hold():
    assert verdicts(made_table()) == ["reproduced"] * 3
    assert verdicts(made_table(runs=4)) == ["reproduced in direction"] * 3
    for finding, claim in zip(cifar.find_small_cifar(made_table()), cifar.CLAIMS, strict=True):
        assert finding.claim == claim.name


@pytest.mark.parametrize(
    ("method", "gain", "held"),
    [
        ("confidence", -1.0, [False, True, False]),
        ("confidence", 5.0, [True, False, True]),
        ("datagrad", 3.0, [True, True, False]),
        ("spectreg", 2.0, [True, False, True]),
    ],
)
def test_what_does_not_hold_is_not_reproduced(method, gain, held):
    found = verdicts(made_table(GAINS | {method: gain}))
    assert found == ["reproduced" if holds else "not reproduced" for holds in held]


@pytest.mark.parametrize("method", list(GAINS))
def test_claims_are_not_run_without_all_methods_and_not_borne_out_by_failures(method):
    table = made_table()
    assert verdicts(table[table["method"] != method]) == ["not run"] * 3
    table.loc[(table["method"] == method) & (table["run"] == 0), "test"] = np.nan
    assert "not reproduced" in verdicts(table)
