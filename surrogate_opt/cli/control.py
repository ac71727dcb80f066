"""surrogate-opt control: a learned plant in closed loop beside the true one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from surrogate_opt.cli.console import make_console, output_folder, write_text
from surrogate_opt.cli.loop_options import PENALTY, parse_names, parse_strength, parse_widths
from surrogate_opt.errors import InputError

EPILOG = (
    "Examples:\n\n"
    "surrogate-opt control --plant pendulum --penalty dreg\n\n"
    "surrogate-opt control --plant cstr --transitions 300 --controller cem\n\n"
    "surrogate-opt control --plant cart_pole --phase position,angle\n\n"
    "surrogate-opt control --plant pendulum --model results/control/pendulum-dreg-0/model.safetensors\n\n"
    "Plants: pendulum, cart_pole, quadrotor, cstr, quadruple_tank, van_der_pol, and family:smooth, "
    "family:piecewise, family:sparse, family:oscillatory and family:entangled.\n\n"
    "How to read it: both controllers are the same and start from the same states under the same noise; one "
    "plans through the true plant (the oracle), the other through the networks. A cost ratio of 1 says "
    "that learning cost nothing. The plan gap says how much worse the plans are than they promise: large, "
    "and the loop follows ghosts."
)


def run(
    plant: Annotated[str, typer.Option(help="What to control; see below.")],
    penalty: Annotated[str, typer.Option(help=PENALTY)] = "dreg",
    strength: Annotated[str, typer.Option(help="auto, or the penalty's one number.")] = "auto",
    transitions: Annotated[
        int, typer.Option(min=10, help="Time steps to learn from, in short random experiments.")
    ] = 2000,
    noise: Annotated[
        float, typer.Option(min=0.0, help="Factor on the plant's noise, in the data and in the loops.")
    ] = 1.0,
    controller: Annotated[str, typer.Option(help="ilqr, shooting, mppi or cem.")] = "ilqr",
    starts: Annotated[int, typer.Option(min=1, help="Closed loops from as many initial states.")] = 20,
    model: Annotated[Path | None, typer.Option(help="Saved dynamics to use instead of fitting any.")] = None,
    hidden: Annotated[str, typer.Option(help="Widths of the hidden layers.")] = "64,64",
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the data; by default about 5,000 steps.")
    ] = None,
    rollout_steps: Annotated[
        int, typer.Option(min=1, help="Above 1: also train on predictions so many steps ahead.")
    ] = 1,
    instance: Annotated[int, typer.Option(min=0, help="Of a family's plant.")] = 0,
    phase: Annotated[
        str | None,
        typer.Option(
            help="Two states of the phase portrait.", show_default="an angle and its rate, or the first two"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of data, networks, starts and noise.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder for the files.",
            show_default="results/control/PLANT-PENALTY-SEED, with the options that are no defaults",
        ),
    ] = None,
) -> None:
    """Learn a plant from data, control it through the networks, and compare with the true model.

    Writes trajectories.png, phase.png, pendulum.gif (for the pendulum), loops.csv and model.safetensors.
    """
    level, widths = parse_strength(strength), parse_widths(hidden)
    if output is not None and output.suffix.lower() in (".png", ".csv", ".gif", ".safetensors"):
        raise InputError(f"--output: expected a folder; came {output}")

    from surrogate_opt.cli.control_run import check_settings, load_model, make_plant, phase_states, run_loops
    from surrogate_opt.cli.control_summary import print_summary
    from surrogate_opt.dynamics import fit_dynamics
    from surrogate_opt.study.control.data import collect_transitions

    check_settings(controller=controller, penalty=penalty, noise=noise, seed=seed)
    truth = make_plant(plant, instance)
    shown = phase_states(truth, None if phase is None else parse_names(phase, "--phase"))
    loaded = None if model is None else load_model(model, truth)
    chosen = {
        "strength-": None if level == "auto" else level,
        "transitions-": transitions if transitions != 2000 else None,
        "noise-": noise if noise != 1.0 else None,
        "": controller if controller != "ilqr" else None,
        "starts-": starts if starts != 20 else None,
        "hidden-": hidden.replace(",", "x") if hidden != "64,64" else None,
        "epochs-": epochs,
        "rollout-": rollout_steps if rollout_steps > 1 else None,
        "instance-": instance or None,
    }
    words = [f"{name}{value}" for name, value in chosen.items() if value is not None]
    learned = penalty if model is None else model.stem
    name = plant.replace(":", "-")
    folder = output or Path("results", "control", "-".join([name, learned, *words, str(seed)]))
    console = make_console()
    with output_folder(folder, "loops.csv"):
        if loaded is None:
            data = collect_transitions(truth, transitions, seed, noise=noise)
            loaded = fit_dynamics(
                data,
                penalty=penalty,
                strength=level,
                hidden=widths,
                epochs=epochs,
                rollout_steps=rollout_steps,
                angles=truth.angles,
                state_names=truth.state_names,
                action_names=truth.action_names,
                dt=truth.dt,
                seed=seed,
                progress=console.is_terminal,
            )
        with console.status(f"{controller} from {starts} starts, on the true plant and on the learned one"):
            result = run_loops(
                truth,
                loaded,
                label=loaded.penalty,
                controller=controller,
                starts=starts,
                noise=noise,
                seed=seed,
            )
        title = (
            f"{plant}, {loaded.penalty} from {loaded.record.num_rows} transitions, {controller}, seed {seed}"
        )
        with console.status("drawing"):
            written = result.write_pictures(folder, title, shown)
        loaded.save(folder / "model.safetensors")
        write_text(folder / "loops.csv", result.table.to_csv(index=False))
    console.print(title, style="bold")
    print_summary(console, result)
    files = ", ".join([*written, "loops.csv", "model.safetensors"])
    console.print(f"\nWrote {files} into {folder}.", soft_wrap=True)
