"""Time of a training step of a stack: against a plain torch loop, against JAX, and penalties against none.

Networks 10-32-32-1, batch 64, 128 members, float32. Times are of whole training runs, so that shuffling,
checks and the optimizer count; per member and step where they are reported so.
"""

import math
from itertools import pairwise

import pytest
import torch

from surrogate_opt.penalties import Strength
from surrogate_opt.training.trainer import Members, TrainingConfig, train

NUM_MEMBERS, NUM_ROWS, BATCH, EPOCHS, DIM, WIDTH = 128, 640, 64, 10, 10, 32
NUM_STEPS = EPOCHS * NUM_ROWS // BATCH
ROUNDS = 9
STRENGTHS = {"none": Strength(), "dreg": Strength(dreg=1e-2), "igp": Strength(igp=1e-2)}
MODULES = {"relu": torch.nn.ReLU, "silu": torch.nn.SiLU}


def make_data():
    generator = torch.Generator().manual_seed(0)
    x = 2.0 * torch.rand(NUM_ROWS + 80, DIM, generator=generator) - 1.0
    return x, torch.sin(x @ torch.randn(DIM, generator=generator))


def our_run(method, activation):
    x, y = make_data()
    members = Members(
        x=x,
        y=y,
        train_rows=torch.arange(NUM_ROWS).repeat(NUM_MEMBERS, 1),
        stop_rows=torch.arange(NUM_ROWS, NUM_ROWS + 80).repeat(NUM_MEMBERS, 1),
        strengths=[STRENGTHS[method]] * NUM_MEMBERS,
        seeds=list(range(NUM_MEMBERS)),
    )
    config = TrainingConfig(
        hidden=(WIDTH, WIDTH), activation=activation, epochs=EPOCHS, batch_size=BATCH, num_checks=5
    )
    return lambda: train(members, config)


def plain_run(activation):
    """One network as most people would train it."""
    x, y = make_data()
    x, y = x[:NUM_ROWS], y[:NUM_ROWS, None]

    def run():
        model = torch.nn.Sequential(
            torch.nn.Linear(DIM, WIDTH),
            MODULES[activation](),
            torch.nn.Linear(WIDTH, WIDTH),
            MODULES[activation](),
            torch.nn.Linear(WIDTH, 1),
        )
        optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
        loss_function = torch.nn.MSELoss()
        for _ in range(EPOCHS):
            order = torch.randperm(NUM_ROWS)
            for start in range(0, NUM_ROWS, BATCH):
                rows = order[start : start + BATCH]
                optimizer.zero_grad()
                loss = loss_function(model(x[rows]), y[rows])
                loss.backward()
                optimizer.step()

    return run


@pytest.mark.parametrize("activation", ["relu", "silu"])
def test_thirty_times_faster_than_a_plain_loop(compare, report, activation):
    timings = compare({"stack": our_run("none", activation), "plain": plain_run(activation)}, ROUNDS)
    ours = timings.best("stack") / (NUM_MEMBERS * NUM_STEPS)
    plain = timings.best("plain") / NUM_STEPS
    report(
        ours_us=ours * 1e6,
        plain_us=plain * 1e6,
        times_faster=plain / ours,
        median_times_faster=NUM_MEMBERS * timings.median_ratio("plain", "stack"),
    )
    assert plain / ours >= 30.0


@pytest.mark.parametrize(
    ("method", "activation", "most"),
    [("dreg", "relu", 1.15), ("dreg", "silu", 1.6), ("igp", "relu", 2.0), ("igp", "silu", 3.0)],
)
def test_what_a_penalty_costs(compare, report, method, activation, most):
    timings = compare({method: our_run(method, activation), "none": our_run("none", activation)}, ROUNDS)
    ratio = timings.ratio(method, "none")
    report(ratio=ratio, median_ratio=timings.median_ratio(method, "none"), allowed=most)
    assert ratio <= most


def jax_run(jax, method, activation):
    """vmap over members of a jitted scan over steps, AdamW and one-cycle written out."""
    jnp = jax.numpy
    phi = {"relu": jax.nn.relu, "silu": jax.nn.silu}[activation]
    strength = STRENGTHS[method]
    pool_x, pool_y = (jnp.asarray(values[:NUM_ROWS].numpy()) for values in make_data())
    sizes = (DIM, WIDTH, WIDTH, 1)

    def forward(parameters, x):
        *hidden, (last, last_bias) = parameters
        h, norms = x, jnp.sum(last**2)
        for weight, bias in hidden:
            z = h @ weight + bias
            h = phi(z)
            if strength.dreg:
                slope = jax.vmap(jax.grad(phi))(z)
                norms = norms + jnp.sum(slope**2 * jnp.sum(weight**2, 0))
        return (h @ last + last_bias)[0], norms / len(parameters)

    def loss(parameters, x, y):
        if strength.igp:
            slopes = jax.vmap(jax.grad(lambda p: forward(parameters, p)[0]))(x)
        output, norms = jax.vmap(lambda p: forward(parameters, p))(x)
        total = jnp.mean((output - y) ** 2)
        if strength.dreg:
            total = total + strength.dreg * jnp.mean(norms)
        if strength.igp:
            total = total + strength.igp * jnp.mean(jnp.sum(slopes**2, -1))
        return total

    def initial(key):
        keys = jax.random.split(key, 2 * (len(sizes) - 1))
        return [
            (
                jax.random.uniform(keys[2 * k], (n_in, n_out), minval=-1.0, maxval=1.0) / math.sqrt(n_in),
                jax.random.uniform(keys[2 * k + 1], (n_out,), minval=-1.0, maxval=1.0) / math.sqrt(n_in),
            )
            for k, (n_in, n_out) in enumerate(pairwise(sizes))
        ]

    def member(key):
        parameters = initial(key)
        zeros = jax.tree.map(jnp.zeros_like, parameters)
        orders = jax.vmap(lambda k: jax.random.permutation(k, NUM_ROWS))(jax.random.split(key, EPOCHS))
        batches = orders.reshape(NUM_STEPS, BATCH)

        def step(state, this):
            parameters, first, second = state
            rows, count = this
            gradient = jax.grad(loss)(parameters, pool_x[rows], pool_y[rows])
            rate = 5e-3 * 0.5 * (1.0 - jnp.cos(2.0 * jnp.pi * (count + 1.0) / (NUM_STEPS + 1.0)))
            first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
            second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradient)
            short, long = 1.0 - 0.9 ** (count + 1.0), 1.0 - 0.999 ** (count + 1.0)
            parameters = jax.tree.map(
                lambda p, m, v: p * (1.0 - rate * 1e-2) - rate * (m / short) / (jnp.sqrt(v / long) + 1e-8),
                parameters,
                first,
                second,
            )
            return (parameters, first, second), None

        counts = jnp.arange(NUM_STEPS, dtype=jnp.float32)
        return jax.lax.scan(step, (parameters, zeros, zeros), (batches, counts))[0][0]

    trained = jax.jit(jax.vmap(member))
    keys = jax.random.split(jax.random.key(0), NUM_MEMBERS)
    return lambda: jax.block_until_ready(trained(keys))


@pytest.mark.parametrize("activation", ["relu", "silu"])
@pytest.mark.parametrize("method", ["none", "dreg", "igp"])
def test_not_slower_than_jax(compare, report, method, activation):
    jax = pytest.importorskip("jax")
    timings = compare({"stack": our_run(method, activation), "jax": jax_run(jax, method, activation)}, ROUNDS)
    per_step = 1e6 / (NUM_MEMBERS * NUM_STEPS)
    report(
        ours_us=timings.best("stack") * per_step,
        jax_us=timings.best("jax") * per_step,
        ratio=timings.ratio("stack", "jax"),
        median_ratio=timings.median_ratio("stack", "jax"),
    )
    assert timings.ratio("stack", "jax") <= 1.0
