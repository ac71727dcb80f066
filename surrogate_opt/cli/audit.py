"""surrogate-opt audit: whether to trust a model file's gradients, in words and as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from surrogate_opt.cli.console import check_output, make_console, write_text

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

    from surrogate_opt.surrogate import Surrogate

EPILOG = (
    "Examples:\n\n"
    "surrogate-opt audit model.safetensors\n\n"
    "surrogate-opt audit model.safetensors --data holdout.csv --json audit.json\n\n"
    "Marks: + speaks for the gradients, ! calls for care, x against them, ? too little to say."
)

_STYLES = {"trust": "bold green", "trust with care": "bold yellow", "do not trust": "bold red"}


def run(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model file that fit wrote.")],
    data: Annotated[
        Path | None,
        typer.Option(help="CSV of rows the model never saw, target included; default: its own record."),
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write every figure here.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**62, help="Of the points in the box.")] = 0,
) -> None:
    """Say whether to trust a model's gradients and where not, each piece of evidence with its figure."""
    check_output(json_file, "--json", inputs=(model, data))

    import json

    from surrogate_opt.auditing import audit
    from surrogate_opt.surrogate import Surrogate

    surrogate = Surrogate.load(model)
    x, y = (None, None) if data is None else _hold_out(surrogate, data)
    report = audit(surrogate, x, y, seed=seed)
    if json_file is not None:
        write_text(json_file, json.dumps(report.to_dict(), indent=2, allow_nan=False) + "\n")
    console = make_console()
    first, *rest = report.summary().splitlines()
    console.print(f"{model.name}: {surrogate!r}", style="dim", soft_wrap=True)
    console.print(first, style=_STYLES[report.verdict.value])
    console.print("\n".join(rest))


def _hold_out(surrogate: Surrogate, path: Path) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " n"]]:
    """The model's inputs, in its order, and its target from a table with the same names."""
    from surrogate_opt.data import read_csv

    table = read_csv(path, surrogate.target_name, inputs=surrogate.feature_names, vary=False)
    return table.x, table.y
