"""Pendulum and reactor against do-mpc's simulator, their equations written out again in CasADi."""

import warnings

import numpy as np
import pytest
import torch
from plant_cases import plant, uniform

casadi = pytest.importorskip("casadi")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # do-mpc announces every optional feature it misses
    do_mpc = pytest.importorskip("do_mpc")


def pendulum_model():
    model = do_mpc.model.Model("continuous")
    angle = model.set_variable("_x", "angle")
    speed = model.set_variable("_x", "speed")
    torque = model.set_variable("_u", "torque")
    model.set_rhs("angle", speed)
    model.set_rhs("speed", 15.0 * casadi.sin(angle) + 3.0 * torque)  # 3 g/(2 l) and 3/(m l²)
    return model


def reactor_model():
    model = do_mpc.model.Model("continuous")
    a, b, reactor, jacket = (model.set_variable("_x", name) for name in ("C_a", "C_b", "T_R", "T_K"))
    flow, heat = (model.set_variable("_u", name) for name in ("F", "Q_dot"))
    k_ab = 1.287e12 * casadi.exp(-9758.3 / (reactor + 273.15))
    k_ad = 9.043e9 * casadi.exp(-8560.0 / (reactor + 273.15))
    model.set_rhs("C_a", flow * (5.1 - a) - k_ab * a - k_ad * a**2)
    model.set_rhs("C_b", -flow * b + k_ab * (a - b))
    reaction = k_ab * a * 4.2 - k_ab * b * 11.0 - k_ad * a**2 * 41.85
    through_wall = 4032.0 * 0.215 * (jacket - reactor)
    heat_capacity = 0.9342 * 3.01
    model.set_rhs(
        "T_R",
        -reaction / heat_capacity + flow * (130.0 - reactor) + through_wall / (heat_capacity * 10.01),
    )
    model.set_rhs("T_K", (heat - through_wall) / (5.0 * 2.0))
    return model


@pytest.mark.parametrize(
    ("name", "model", "tolerance"),
    # Largest difference over 40 steps as a share of the data box: the error of our Runge-Kutta steps.
    [("pendulum", pendulum_model, 1e-5), ("cstr", reactor_model, 1e-5)],
)
def test_trajectories_agree(name, model, tolerance):
    it = plant(name)
    built = model()
    built.setup()
    simulator = do_mpc.simulator.Simulator(built)
    simulator.set_param(t_step=it.dt, abstol=1e-10, reltol=1e-10, integration_tool="cvodes")
    simulator.setup()
    x = it.starts(1, seed=0)[0]
    actions = uniform(it.action_bounds, 40, seed=2)
    simulator.x0 = x.numpy()[:, None]
    scale = it.data_bounds[1] - it.data_bounds[0]
    for u in actions:
        x = it.step(x, u)
        theirs = np.asarray(simulator.make_step(u.numpy()[:, None]))[:, 0]
        assert ((x - torch.from_numpy(theirs)) / scale).abs().max() < tolerance
