"""A report's page: rendered from templates, its pictures embedded, written beside their files."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import jinja2

from surrogate_opt.errors import InputError
from surrogate_opt.model_file import write_atomically
from surrogate_opt.study.figures import Picture, save_picture


@dataclass(frozen=True, kw_only=True)
class EmbeddedPicture:
    """A picture as the page holds it.

    Attributes:
        title: of its section.
        caption: what to look at, and what it means.
        alternative: for those who cannot see it, the caption's first sentence.
        data: the PNG in base 64.
    """

    title: str
    caption: str
    alternative: str
    data: str


def render_page(template: str, **values: object) -> str:
    """The page of a template of this package, by its path below ``study/``; every value is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_source),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def write_page(
    folder: Path,
    pictures: Iterable[Picture],
    render: Callable[[dict[str, EmbeddedPicture]], str],
    *,
    num_pictures: int,
    progress: Callable[[int, int], None],
) -> Path:
    """Write ``report.html`` and ``figures/`` into a folder; the same pictures and page give the same bytes.

    Args:
        folder: made where it is not there.
        pictures: drawn one after the other.
        render: the page from its pictures by their names.
        num_pictures: at most so many come, for ``progress``.
        progress: called with the numbers of steps done and of all, after each.

    Returns:
        The page.

    Raises:
        InputError: the folder cannot be written to.
    """
    pictures_folder = folder / "figures"
    try:
        pictures_folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"output: cannot write {pictures_folder}: {error.strerror}") from None
    embedded: dict[str, EmbeddedPicture] = {}
    for done, picture in enumerate(pictures, start=1):
        embedded[picture.name] = _embed(picture, save_picture(picture, pictures_folder))
        progress(done, num_pictures)
    page = render(embedded)

    def write(temporary: Path) -> None:
        temporary.write_text(page, encoding="utf-8")

    target = folder / "report.html"
    write_atomically(target, write)
    progress(num_pictures, num_pictures)
    return target


def _source(template: str) -> str:
    return files("surrogate_opt.study").joinpath(template).read_text(encoding="utf-8")


def _embed(picture: Picture, png: bytes) -> EmbeddedPicture:
    return EmbeddedPicture(
        title=picture.title,
        caption=picture.caption,
        alternative=picture.caption.split(". ")[0],
        data=base64.b64encode(png).decode("ascii"),
    )
