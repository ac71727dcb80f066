"""The study's tables for the terminal, at most 110 columns wide; the numbers are the report's."""

from __future__ import annotations

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from surrogate_opt.study.claims import SETTINGS, Evidence, paired_figures, standing
from surrogate_opt.study.statistics import Comparison
from surrogate_opt.study.tables import SETTING_NAMES, Setting, StudyData
from surrogate_opt.study.text_tables import Cell, TextTable, number, summary_table, verdict_text

_SHOWN = 5  # figures of the table of verdicts
_COLOURS = {"ahead": "green", "behind": "red", "level": "cyan"}


def terminal_tables(data: StudyData, evidence: Evidence) -> list[RenderableType]:
    """Means at the plateau and at the fixed strength, verdicts against "none", and the headline in words."""
    figures = paired_figures(data.spec)
    shown: list[RenderableType] = []
    sentences = []
    for setting in SETTINGS:
        name = SETTING_NAMES[setting]
        shown.append(render_table(summary_table(data, setting), f"Means at the {name} strength"))
        tables = {figure.column: evidence.paired[setting][figure.column] for figure in figures[:_SHOWN]}
        if not any(tables.values()):
            continue
        degenerate = evidence.degenerate[setting]
        shown.append(_verdicts(data, setting, tables, degenerate))
        sentence = standing(tables[figures[0].column], degenerate, figures[0].label)
        sentences.append(Text(f"At the {name} strength: {sentence}"))
    return [*shown, *sentences]


def render_table(table: TextTable, title: str) -> Table:
    """A table of text under its title; cells that end in a verdict have its colour."""
    rendered = _empty(title)
    for place, label in enumerate(table.header):
        rendered.add_column(label, justify="right" if place else "left", no_wrap=True)
    for row in table.rows:
        rendered.add_row(*(_text(cell) for cell in row))
    return rendered


def _empty(title: str) -> Table:
    return Table(
        title=f"\n{title}", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False
    )


def _text(cell: Cell) -> Text:
    last_word = cell.text.rpartition(" ")[2]
    return Text(cell.text, style="dim" if cell.muted else _COLOURS.get(last_word, ""))


def _verdicts(
    data: StudyData, setting: Setting, tables: dict[str, list[Comparison]], degenerate: frozenset[str]
) -> Table:
    figures = [figure for figure in paired_figures(data.spec) if figure.column in tables]
    rendered = _empty(f"Difference to none at the {SETTING_NAMES[setting]} strength, paired, Holm-corrected")
    rendered.add_column("method", no_wrap=True)
    for figure in figures:
        rendered.add_column(figure.label.replace(" (", "\n("), justify="right", no_wrap=True)
    methods = [row.method for row in tables[figures[0].column] if row.rival == "none"]
    against_none = {
        column: {row.method: row for row in table if row.rival == "none"} for column, table in tables.items()
    }
    for method in methods:
        rendered.add_row(
            method,
            *(
                _difference(against_none[figure.column][method], figure.digits, degenerate)
                for figure in figures
            ),
        )
    return rendered


def _difference(row: Comparison, digits: int, degenerate: frozenset[str]) -> Text:
    words = verdict_text(row, degenerate).removesuffix(" to say")
    return Text(f"{number(row.difference, digits, signed=True)} {words}", style=_COLOURS.get(words, ""))
