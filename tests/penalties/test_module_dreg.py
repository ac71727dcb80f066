"""DREG on torch modules: against full Jacobians of every layer, and what it cannot see is refused."""

import pytest
import torch
from torch import nn
from torch.func import jacrev, vmap
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from surrogate_opt.errors import InputError
from surrogate_opt.networks import StackedMLP
from surrogate_opt.penalties import DREG, bound_spectral_norms
from surrogate_opt.penalties.dreg import mean_dreg_penalty


class Square(nn.Module):
    """An activation of the user's own."""

    def forward(self, z):
        return 0.3 * z * z + z


class Polynomial(nn.Module):
    """With coefficients to learn."""

    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.tensor([0.2, 0.9, -0.4]))

    def forward(self, z):
        return self.a[0] + self.a[1] * z + self.a[2] * z * z


ACTIVATIONS = [
    nn.ReLU(), nn.ReLU(inplace=True), nn.SiLU(inplace=True), nn.Tanh(), nn.GELU(), nn.GELU("tanh"),
    nn.Softplus(beta=2.0), nn.LeakyReLU(0.2), nn.ELU(), nn.Hardtanh(), Square(), Polynomial(),
]  # fmt: skip


def inputs(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def squared_jacobian(function, x):
    """Mean over the batch of the squared Frobenius norm of a function of one example."""
    return vmap(jacrev(function))(x).flatten(1).square().sum(1).mean()


def gradients(value, model):
    return torch.autograd.grad(value, list(model.parameters()), allow_unused=True, retain_graph=True)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda module: repr(module))
def test_every_layers_jacobian(activation):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 5), activation, nn.Linear(5, 2)).double()
    x = inputs(7, 4)
    first, last = model[0], model[2]

    def layer(v):
        return activation(first(v[None]).clone())[0]

    expected = (squared_jacobian(layer, x) + last.weight.square().sum()) / 2.0
    output, value = DREG(model).with_output(x)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(output, model(x))
    for parameter, *found in zip(
        model.parameters(), gradients(value, model), gradients(expected, model), strict=True
    ):
        mine, theirs = (torch.zeros_like(parameter) if own is None else own for own in found)
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("activation", ["relu", "tanh", "silu", "gelu", "softplus"])
def test_it_is_the_stacks_penalty(activation):
    stack = StackedMLP((3, 6, 5, 2), 1, activation, dtype=torch.float64).initialize([4])
    modules = {"relu": nn.ReLU, "tanh": nn.Tanh, "silu": nn.SiLU, "gelu": nn.GELU, "softplus": nn.Softplus}
    linear = [nn.Linear(3, 6), nn.Linear(6, 5), nn.Linear(5, 2)]
    for layer, weight, bias in zip(linear, stack.weights, stack.biases, strict=True):
        layer.weight = nn.Parameter(weight[0].T.clone())
        layer.bias = nn.Parameter(bias[0, 0].clone())
    model = nn.Sequential(linear[0], modules[activation](), linear[1], modules[activation](), linear[2])
    x = inputs(9, 3)
    torch.testing.assert_close(DREG(model)(x), mean_dreg_penalty(stack, x[None])[0])


def test_a_convolution_counts_its_mean_position():
    """Without padding every position sees the whole kernel: the Jacobian's norm over the positions."""
    torch.manual_seed(2)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(3 * 16, 4)).double()
    x = inputs(5, 2, 6, 6)
    per_position = squared_jacobian(lambda v: torch.tanh(model[0](v[None])[0]), x) / 16.0
    expected = (per_position + model[3].weight.square().sum()) / 2.0
    torch.testing.assert_close(DREG(model)(x), expected)
    signal = nn.Sequential(nn.Conv1d(2, 3, 2), nn.ReLU(), nn.Conv1d(3, 1, 2)).double()
    x = inputs(5, 2, 9)
    per_position = squared_jacobian(lambda v: torch.relu(signal[0](v[None])[0]), x) / 8.0
    torch.testing.assert_close(DREG(signal)(x), (per_position + signal[2].weight.square().sum()) / 2.0)


def test_pooling_between_convolution_and_relu_and_flattening_leave_the_slope_alone():
    torch.manual_seed(3)
    conv, linear = nn.Conv2d(1, 4, 3).double(), nn.Linear(16, 2).double()
    before = nn.Sequential(conv, nn.AvgPool2d(2), nn.Flatten(), nn.Tanh(), linear)
    x = inputs(6, 1, 6, 6)
    slope = 1.0 - torch.tanh(functional.avg_pool2d(conv(x), 2)).square()
    norms = conv.weight.flatten(1).square().sum(1)
    expected = (slope.square().mean((0, 2, 3)) * norms).sum() + linear.weight.square().sum()
    torch.testing.assert_close(DREG(before)(x), expected / 2.0)


@pytest.mark.parametrize("training", [True, False])
def test_batch_normalization_belongs_to_the_layer_before_it(training):
    torch.manual_seed(4)
    model = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.SiLU(), nn.Linear(5, 1)).double()
    with torch.no_grad():
        model[1].weight.uniform_(0.5, 2.0)
        model[1].running_var.uniform_(0.5, 2.0)
    model.train(training)
    x = inputs(8, 3)
    z = model[0](x)
    variance = z.detach().var(0, correction=0) if training else model[1].running_var
    factor = model[1].weight / (variance + model[1].eps).sqrt()

    def layer(v):
        shift = z.detach().mean(0) if training else model[1].running_mean
        return functional.silu((model[0](v) - shift) * factor + model[1].bias)

    expected = (squared_jacobian(layer, x) + model[3].weight.square().sum()) / 2.0
    torch.testing.assert_close(DREG(model)(x), expected)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 1)

    def forward(self, x):
        h = functional.relu(self.a(x))
        return self.c(torch.tanh(h + 0.5 * self.b(h)))


def test_functions_sums_and_factors_are_seen():
    torch.manual_seed(5)
    model, x = Residual().double(), inputs(6, 4)
    h = torch.relu(model.a(x))
    slope = 0.5 * (1.0 - torch.tanh(h + 0.5 * model.b(h)).square())
    parts = (
        ((model.a(x) > 0).double() @ model.a.weight.square().sum(1)).mean(),
        (slope.square() @ model.b.weight.square().sum(1)).mean(),
        model.c.weight.square().sum(),
    )
    torch.testing.assert_close(DREG(model)(x), sum(parts) / 3.0)


@pytest.mark.parametrize("parametrization", [spectral_norm, weight_norm])
def test_weights_count_as_they_are_used(parametrization):
    torch.manual_seed(6)
    model = nn.Sequential(parametrization(nn.Linear(4, 5)), nn.ReLU(), nn.Linear(5, 1)).double().eval()
    x = inputs(6, 4)
    used = (model[0](x) > 0).double() @ model[0].weight.square().sum(1)
    expected = (used.mean() + model[2].weight.square().sum()) / 2.0
    torch.testing.assert_close(DREG(model)(x), expected)


def test_without_gradients_the_value_is_the_same():
    model = nn.Sequential(nn.Linear(4, 5), nn.SiLU(), nn.Linear(5, 1)).double()
    x = inputs(6, 4)
    with torch.no_grad():
        value = DREG(model)(x)
    assert not value.requires_grad
    torch.testing.assert_close(value, DREG(model)(x).detach())


class Scale(nn.Module):
    """Not an activation yet."""

    def __init__(self):
        super().__init__()
        self.g = nn.Parameter(torch.linspace(0.5, 2.0, 5, dtype=torch.float64))

    def forward(self, z):
        return self.g * z


class InPlace(nn.Module):
    def forward(self, z):
        return z.sigmoid_()


@pytest.mark.parametrize("activation", [nn.Tanh(), InPlace()])
def test_a_users_scale_comes_before_the_activation(activation):
    torch.manual_seed(7)
    model = nn.Sequential(nn.Linear(4, 5), Scale(), activation, nn.Linear(5, 1)).double()
    x = inputs(6, 4)
    first = squared_jacobian(lambda v: activation(model[1](model[0](v[None])))[0], x)
    torch.testing.assert_close(DREG(model)(x), (first + model[3].weight.square().sum()) / 2.0)


def test_a_bounded_layer_and_one_with_two_linear_heads_are_seen():
    bounded = bound_spectral_norms(nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 1)), 0.3).double()
    bounded.eval()
    x = inputs(6, 4)
    used = (bounded[0](x) > 0).double() @ bounded[0].weight.square().sum(1)
    expected = (used.mean() + bounded[2].weight.square().sum()) / 2.0
    torch.testing.assert_close(DREG(bounded)(x), expected)
    heads = Heads().double()
    norms = [layer.weight.square().sum() for layer in (heads.stem, heads.a, heads.b)]
    torch.testing.assert_close(DREG(heads)(x), sum(norms) / 3.0)


class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 2), nn.Linear(4, 2)

    def forward(self, x):
        z = self.stem(x)
        return self.a(z), {"other": self.b(z)}


class Call(nn.Module):
    """A layer with some function behind it."""

    def __init__(self, function):
        super().__init__()
        self.a, self.function = nn.Linear(4, 4), function

    def forward(self, x):
        return self.function(self.a(x))


@torch.jit.script
def scripted(z):
    return z * torch.sigmoid(z)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda z: torch.relu(torch.cat([z, z], 1)), "a.weight is followed by cat"),
        (lambda z: torch.tanh(z.sum(-1)), "a.weight is followed by sum"),
        (lambda z: torch.pow(torch.ones_like(z), z), "a.weight is followed by pow"),
        (lambda z: torch.pow(2.0, z), "a.weight is followed by pow"),
        (lambda z: torch.clamp(torch.zeros_like(z), max=z), "a.weight is followed by clamp"),
        (lambda z: functional.rrelu(z, training=True), "a.weight is followed by rrelu"),
        (lambda z: torch.tanh(functional.max_pool1d(z, 2)), "a.weight is followed by max_pool1d"),
        (lambda z: torch.tanh(z + torch.ones(2, 1, 4)), "a.weight changes the shape of its output"),
        (lambda z: torch.relu(z.chunk(2, -1)[0]), "a.weight is followed by chunk"),
        (scripted, "what follows a.weight cannot be seen"),
        (torch.func.vmap(torch.relu), "what follows a.weight cannot be seen"),
        (lambda z: torch.add(torch.zeros_like(z), z, alpha=0.1), "a.weight is followed by add"),
    ],
)
def test_an_output_that_gets_out_of_sight_is_refused(function, expected):
    with pytest.raises(InputError, match=expected):
        DREG(Call(function))(torch.randn(3, 4))


@pytest.mark.parametrize(
    ("function", "factor"), [(lambda z: z + z, 4.0), (lambda z: -z / 2.0, 0.25), (lambda z: 3.0 * z - z, 4.0)]
)
def test_factors_are_counted(function, factor):
    model = Call(function).double()
    torch.testing.assert_close(DREG(model)(inputs(3, 4)), factor * model.a.weight.square().sum())


@pytest.mark.parametrize(
    "function",
    [
        lambda z: 1.7159 * torch.tanh(2.0 * z / 3.0),
        lambda z: functional.relu6(z + 3.0) / 6.0,
        lambda z: 1.0 - torch.sigmoid(z),
        lambda z: functional.dropout(2.0 * torch.relu(z), 0.0).flatten(1) + 1.0,
        lambda z: functional.silu(z).mul_(0.5),
    ],
)
def test_factors_behind_the_activation_are_counted(function):
    torch.manual_seed(8)
    model, x = nn.Sequential(Call(function), nn.Linear(4, 2)).double(), inputs(5, 4)
    expected = (squared_jacobian(lambda v: model[0](v[None])[0], x) + model[1].weight.square().sum()) / 2.0
    torch.testing.assert_close(DREG(model)(x), expected)


@pytest.mark.parametrize(
    ("function", "second"),
    [
        (lambda z: torch.relu(z) ** 2, "pow"),
        (lambda z: torch.exp(-(z**2)), "exp"),
        (lambda z: torch.log(1.0 + torch.exp(z)), "log"),
        (lambda z: 1.0 / (1.0 + torch.exp(-z)), "__rdiv__"),
        (lambda z: torch.sqrt(z**2 + 1.0), "sqrt"),
        (lambda z: torch.tanh(functional.softplus(z)), "tanh"),
    ],
)
def test_an_activation_of_several_functions_is_refused(function, second):
    with pytest.raises(
        InputError, match=f"a.weight is followed by two elementwise .* {second} the second one"
    ):
        DREG(Call(function))(torch.randn(3, 4))


@pytest.mark.parametrize(
    "end", [lambda z: z[:, 0], lambda z: z.sum(-1), lambda z: torch.cat([z, z], 1), lambda z: z.chunk(2, -1)]
)
def test_outputs_may_be_regrouped_at_the_end(end):
    model = Call(end).double()
    torch.testing.assert_close(DREG(model)(inputs(3, 4)), model.a.weight.square().sum())


class Frozen(nn.Module):
    """A layer without gradients, one with them, and something on the side."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 1)

    def forward(self, x):
        with torch.no_grad():
            h = torch.relu(self.a(x))
        z = self.b(h)
        with torch.no_grad():
            self.saturation = torch.tanh(z).abs().mean()
        return z


def test_layers_without_gradients_are_refused_unless_they_are_frozen():
    model, x = Frozen().double(), inputs(6, 4)
    with pytest.raises(InputError, match=r"a\.weight is used without gradients inside the model"):
        DREG(model)(x)
    model.a.requires_grad_(False)
    DREG(model)(x).backward()
    assert model.a.weight.grad is None
    torch.testing.assert_close(model.b.weight.grad, model.b.weight.detach())


def test_the_older_spectral_norm_is_seen():
    torch.manual_seed(9)
    model = nn.Sequential(nn.utils.spectral_norm(nn.Linear(4, 5)), nn.ReLU(), nn.Linear(5, 1)).double()
    x = inputs(6, 4)
    assert torch.isfinite(DREG(model)(x))
    model.eval()
    used = (model[0](x) > 0).double() @ model[0].weight.square().sum(1)
    torch.testing.assert_close(DREG(model)(x), (used.mean() + model[2].weight.square().sum()) / 2.0)


class Rectify(nn.Module):
    def forward(self, z):
        return functional.relu(z)


class Triple(nn.Module):
    def forward(self, z):
        return 3.0 * z


@pytest.mark.parametrize("num_rows", [1, 2, 3])
def test_few_rows_do_not_make_an_activation_a_scale_or_a_scale_an_activation(num_rows):
    for seed in range(10):
        torch.manual_seed(seed)
        layers = nn.Linear(4, 2).double(), nn.Linear(2, 1).double()
        x = torch.randn(num_rows, 4, dtype=torch.float64)
        torch.testing.assert_close(
            DREG(nn.Sequential(layers[0], Rectify(), layers[1]))(x),
            DREG(nn.Sequential(layers[0], nn.ReLU(), layers[1]))(x),
        )
        scaled = nn.Sequential(layers[0], Triple(), nn.Tanh(), layers[1])
        first = squared_jacobian(lambda v, scaled=scaled: scaled[:3](v[None])[0], x)
        torch.testing.assert_close(DREG(scaled)(x), (first + layers[1].weight.square().sum()) / 2.0)


class Shared(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4)

    def forward(self, x):
        return self.a(torch.relu(self.a(x)))


class Tied(Shared):
    def forward(self, x):
        return nn.functional.linear(torch.relu(self.a(x)), self.a.weight.t())


class Attention(nn.Module):
    """Rows of x weighed by a softmax of scores."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 1)

    def forward(self, x):
        h = torch.relu(self.a(x))
        return (self.b(h).softmax(0) * h).sum(0)


class Gate(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4)

    def forward(self, x):
        z = self.a(x)
        return torch.tanh(z) + torch.sigmoid(z)


class Mixing(nn.Module):
    def forward(self, z):
        return z - z.mean(-1, keepdim=True)


class Rounding(nn.Module):
    def forward(self, z):
        return z.detach().round()


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (nn.MultiheadAttention(4, 2), "multi_head_attention_forward uses weights"),
        (nn.LSTM(4, 4), "lstm uses weights"),
        (Shared(), "a.weight is used twice"),
        (Tied(), "linear is used twice"),
        (Attention(), "output of a softmax"),
        (nn.Sequential(nn.Linear(4, 4), nn.Softmax(-1), nn.Linear(4, 2)), "output of a softmax"),
        (Gate(), "a.weight goes into two activations"),
        (nn.Sequential(nn.Linear(4, 4), Mixing()), "Mixing; expected an elementwise activation"),
        (nn.Sequential(nn.Linear(4, 4), Rounding()), "Rounding, which autograd cannot differentiate"),
        (nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.ReLU()), "0.weight is followed by layer_norm"),
        (nn.Sequential(nn.Linear(4, 4), nn.GLU()), "0.weight is followed by glu"),
        (
            nn.Sequential(nn.Linear(4, 4), nn.Unflatten(1, (2, 2)), nn.BatchNorm1d(2)),
            "batch normalization by",
        ),
        (nn.Tanh(), "at least one Linear or Conv layer"),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_what_cannot_be_seen_is_refused(model, expected):
    x = torch.randn(3, 4)
    call = DREG(model)
    if isinstance(model, nn.MultiheadAttention):
        call = DREG(nn.TransformerEncoderLayer(4, 2))
    with pytest.raises(InputError, match=expected):
        call(x)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize(
    "bind",
    [weight_norm, spectral_norm, None],
    ids=["weight_norm", "spectral_norm", "ours"],
)
def test_a_layer_whose_weight_is_made_anew_is_still_one_layer(bind):
    model = Shared()
    if bind is None:
        bound_spectral_norms(model, 2.0)
    else:
        bind(model.a)
    with pytest.raises(InputError, match=r"a\.weight is used twice"):
        DREG(model)(torch.randn(3, 4))


@pytest.mark.parametrize("end", [lambda z: z.softmax(-1).log(), lambda z: 2.0 * z.softmax(-1).clamp(0.1)])
def test_probabilities_may_leave_the_model(end):
    model = Call(end).double()
    torch.testing.assert_close(DREG(model)(inputs(3, 4)), model.a.weight.square().sum())


def test_a_function_is_no_module():
    with pytest.raises(InputError, match=r"model: expected a torch\.nn\.Module, got"):
        DREG(torch.tanh)
