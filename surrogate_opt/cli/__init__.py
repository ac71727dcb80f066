"""The command line: parses, calls, prints. Commands load the toolkit when they run, so that help is quick."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from typing import cast

import typer

from surrogate_opt.cli import (
    ask,
    audit,
    bo,
    claims,
    control,
    fit,
    fit_dynamics,
    minimize,
    reproduce,
    study,
    tell,
)
from surrogate_opt.errors import SurrogateOptError

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130

_OUT_OF_MEMORY = ("can't allocate memory", "out of memory")
"""What torch's allocators say in a plain RuntimeError."""

_EPILOG = (
    "From a table to an optimum that can be trusted:\n\n"
    "surrogate-opt fit data.csv --target strength_mpa -o model.safetensors\n\n"
    "surrogate-opt audit model.safetensors --data holdout.csv\n\n"
    "surrogate-opt minimize model.safetensors --maximize --fix age_days=28 -o candidates.csv\n\n"
    "An experiment step by step, through CSV files:\n\n"
    "surrogate-opt ask alloy.db --bounds copper=0:5 --bounds temperature_c=300:500 --maximize\n\n"
    "surrogate-opt tell alloy.db alloy-next.csv\n\n"
    "A plant learned from a log, and a learned plant in closed loop:\n\n"
    "surrogate-opt fit-dynamics tank.csv --states level_m --actions pump_v --dt 4\n\n"
    "surrogate-opt control --plant pendulum --penalty dreg\n\n"
    "Which method of derivative control helps, measured on synthetic truths:\n\n"
    "surrogate-opt run\n\n"
    "What the papers claim, and what came out when it was measured again:\n\n"
    "surrogate-opt claims\n\n"
    "surrogate-opt COMMAND --help explains a command's options."
)

# All errors of usage derive from this base, which typer itself does not export.
_UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__base__)

app = typer.Typer(
    name="surrogate-opt",
    epilog=_EPILOG,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
# Every command, in the order of the help page.
app.command("fit", epilog=fit.EPILOG)(fit.run)
app.command("audit", epilog=audit.EPILOG)(audit.run)
app.command("minimize", epilog=minimize.EPILOG)(minimize.run)
app.command("ask", epilog=ask.EPILOG)(ask.run)
app.command("tell", epilog=tell.EPILOG)(tell.run)
app.command("bo", epilog=bo.EPILOG)(bo.run)
app.command("fit-dynamics", epilog=fit_dynamics.EPILOG)(fit_dynamics.run)
app.command("control", epilog=control.EPILOG)(control.run)
app.command("run", epilog=study.EPILOG)(study.run)
app.command("claims", epilog=claims.EPILOG)(claims.run)
app.command("reproduce", epilog=reproduce.EPILOG)(reproduce.run)


@app.callback(invoke_without_command=True)
def _root(context: typer.Context) -> None:
    """Fit compact surrogates, audit their gradients, and follow them to an optimum."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 2 input that cannot be used, 130 interrupted.

    Args:
        arguments: words after the program's name; those of the process where none are given.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # to end by the same clean way as Ctrl-C
    try:
        code = app(args=None if arguments is None else list(arguments), standalone_mode=False)
    except SurrogateOptError as error:
        _fail(str(error))
    except _UsageError as error:
        _fail(error.format_message())
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not any(sign in str(error) for sign in _OUT_OF_MEMORY):
            raise
        _fail("not enough memory for such sizes")
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(code or 0)


def _fail(message: str) -> None:
    """One line on stderr, then out."""
    print("error:", " ".join(message.split()), file=sys.stderr)
    sys.exit(EXIT_ERROR)
