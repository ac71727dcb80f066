"""The terminal: a console of at most 100 columns, number formats, and checks of files to be written."""

from __future__ import annotations

import math
import os
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console
from rich.table import Table

from surrogate_opt.errors import InputError

WIDTH = 100


def make_console(width: int = WIDTH) -> Console:
    """A console on stdout, 100 columns wide unless told, or as wide as a narrower terminal.

    It prints brackets as they are: names of columns and files may hold them.
    """
    columns = min(width, shutil.get_terminal_size((width, 24)).columns)
    return Console(width=columns, highlight=False, markup=False)


def make_table() -> Table:
    """A table without lines, one column of space before each of its own."""
    return Table(box=None, padding=(0, 1), header_style="dim")


def print_wrapped(console: Console, text: str, *, label: str = " ", style: str | None = None) -> None:
    """Print a sentence, further lines under its beginning and not under the label."""
    lines = textwrap.wrap(text, console.width - 1, initial_indent=label, subsequent_indent=" " * len(label))
    console.print("\n".join(lines), style=style)


def number(value: float, digits: int = 4) -> str:
    """A number to some significant digits, without an exponent where it reads well without."""
    if not math.isfinite(value):
        return "-" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    if value != 0 and not 1e-4 <= abs(value) < 1e7:
        return f"{value:.{digits - 1}e}"
    decimals = digits - 1 - (math.floor(math.log10(abs(value))) if value else 0)
    text = f"{value:.{max(0, decimals)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def check_output(
    path: Path | None, option: str, suffixes: tuple[str, ...] = (), *, inputs: Sequence[Path | None] = ()
) -> None:
    """Refuse a file that could not be written, before any work is done for it.

    Args:
        path: the file; None where none is wanted.
        option: what the user typed for it.
        suffixes: the endings it may have; any where empty.
        inputs: files that the command reads, or also writes, and must not write over.

    Raises:
        InputError: the folder is missing or read-only, the path is a folder or an input, or the ending is
            another.
    """
    if path is None:
        return
    if not path.parent.is_dir():
        raise InputError(f"{option}: expected an existing folder; there is no {path.parent}")
    if path.is_dir():
        raise InputError(f"{option}: expected a file name; {path} is a folder")
    if path.exists() and not path.is_file():
        raise InputError(f"{option}: expected a plain file; {path} is none")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"{option}: cannot write into the folder {path.parent}")
    for other in inputs:
        if other is not None and path.resolve() == other.resolve():
            raise InputError(f"{option}: expected another file than {other}, which this command needs")
    if suffixes and path.suffix.lower() not in suffixes:
        raise InputError(f"{option}: expected a name that ends in {' or '.join(suffixes)}; came {path.name}")


@contextmanager
def output_folder(folder: Path, file: str) -> Iterator[None]:
    """A folder for a command's files while it works; gone again where the work failed and left it empty.

    Args:
        folder: what --output says, or the default.
        file: the name of one of the files.

    Raises:
        InputError: it cannot be made or written into, said before any work is done for it.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--output: cannot make the folder {folder}: {error.strerror}") from None
    check_output(folder / file, "--output")
    try:
        yield
    except BaseException:
        with suppress(OSError):
            for path in made:
                path.rmdir()
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    from surrogate_opt.model_file import write_atomically

    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    write_atomically(path, write)
