"""A control loop of your own around a learned pendulum: fit, save, load, then plan and act step by step."""

import argparse
from pathlib import Path

import torch
from surrogate_problems.plants import Pendulum

import surrogate_opt as so
from surrogate_opt.dynamics import collect, transitions, uniform_actions
from surrogate_opt.loops.mpc import ILQR, Controller, ControlProblem, PlantModel

NUM_EXPERIMENTS, STEPS = 100, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=60, help="passes over the data")
    parser.add_argument("--steps", type=int, default=100, help="control steps of 0.05 s")
    arguments = parser.parse_args()

    # Data: short experiments from all over the box, under random torques that are held for a while.
    plant = Pendulum()
    low, high = plant.data_bounds
    generator = torch.Generator().manual_seed(0)
    starts = low + (high - low) * torch.rand(NUM_EXPERIMENTS, 2, generator=generator, dtype=torch.float64)
    torques = uniform_actions(plant.action_bounds, NUM_EXPERIMENTS, STEPS, seed=0, max_hold=5)
    data = transitions(collect(plant.step, starts, torques))

    # To choose the strength by cross-validation, leave it out: it takes ten times as long.
    fitted = so.fit_dynamics(data, angles=plant.angles, strength=1e-4, epochs=arguments.epochs, dt=plant.dt)
    fitted.save("pendulum.safetensors")
    model = so.Dynamics.load(Path("pendulum.safetensors"))
    print("one-step R2 of angle and speed:", ", ".join(f"{value:.4f}" for value in model.one_step_r2))

    # Step by step, as on a real plant: measure, plan, act. ControlProblem also takes your bounds and costs.
    problem = ControlProblem.from_plant(plant)
    controller = Controller(model, problem, ILQR())
    x = torch.tensor([[torch.pi, 0.0]], dtype=torch.float64)  # hanging at rest; one row a loop
    state = controller.start(x, seeds=[0])
    cost = 0.0
    for time in range(arguments.steps):
        plan, state = controller.plan(x, time, state)  # a plan that diverged is replaced by a safe one
        action = plan.actions[:, 0]
        cost += float(plant.cost.stage(x, action, time))
        x = plant.step(x, action)
        if time % 10 == 0:
            print(f"{time * plant.dt:4.1f} s  angle {x[0, 0]:6.2f} rad  torque {action[0, 0]:5.2f} N m")
    print(f"cost {cost:.0f}")

    # The same from several starts at once, with noise, beside the controller that knows the true pendulum.
    for name, known in (("learned", model), ("true", PlantModel(plant))):
        loops = so.run_closed_loop(plant, Controller(known, problem, ILQR()), arguments.steps, starts=3)
        upright = int(plant.succeeded(loops.states).sum())
        print(f"{name} model: median cost {loops.cost.median():.0f}, upright at the end {upright} of 3")


if __name__ == "__main__":
    main()
