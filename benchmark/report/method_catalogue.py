"""``docs/methods.md``: what each method does, needs, takes as options and costs, and its published numbers."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmark.registry import catalog
from benchmark.registry.method_info import DRAFT, MethodInfo
from benchmark.registry.method_text import MethodText, option_text, options_text, read_text
from benchmark.report import markdown
from benchmark.runs.names import STUDENT, MethodName
from benchmark.tables.published import SUITES, PublishedNumber, by_method, load

if TYPE_CHECKING:
    from benchmark.report.leaderboard.data import LeaderboardData

TEACHERS: Mapping[str, str] = {
    "given": "a trained teacher",
    "none": "no teacher",
    "student": "a plain run of the student's network as its teacher",
}
VIEWS: Mapping[int, str] = {2: "a second, strongly augmented view of each image"}
REQUIREMENTS: Mapping[str, str] = {
    "teacher_in_train_mode": "a teacher that normalises by batch statistics, on a copy",
    "equal_channels": "equal channels in the paired maps of both networks",
}
STAGES: Mapping[str, str] = {
    "student": "a first stage that pretrains the student's trunk",
    "teacher": "a first stage that trains modules on the teacher's features, once for all students",
}
"""What a method needs, in words, by the values of its attributes."""

_HEAD = """\
# Methods

Written by `python run_all.py list methods --markdown`; a test compares. Defaults are written as they are typed in a
method's name.

In formulas, `z` and `v` are the logits of student and teacher, `h` embeddings, `x` and `t` maps of student and teacher,
`y` the label, `T` the temperature, `B` the number of images of a batch, `K` of classes, `C` of channels, `N` of
training images, `n` of maps, `W` and `b` a classifier's weight and bias, and `w(e)` and `d(e)` a warm-up and a decay by
epoch. The endings `_S` and `_T` are student and teacher.

Costs are those of profile digits: the step time divided by the plain student's on the same machine, as a geometric mean
over pairs, first stages included. Its networks are narrow and its images small, so that a loss is a larger part of a
step than on real data.

Published numbers are top-1 accuracies in percent, from [tables/published.csv](../tables/published.csv). Only those of
one suite may be compared. The epoch is the last, the best on the test images (⚠), or not stated ("unknown").

| suite | its numbers have in common |
| :-- | :-- |"""


def settled_methods() -> list[MethodInfo]:
    """The project's methods, without drafts and plug-ins, sorted by name."""
    folder = catalog.ROOT / "methods"
    known = sorted(catalog.methods().items())
    return [info for _, info in known if info.path.parent == folder and info.revision > DRAFT]


def render(digits: LeaderboardData) -> str:
    """The page as Markdown.

    Args:
        digits: the runs of profile digits, with a row for each method.
    """
    groups = by_method(load())
    lines = [_HEAD, *(markdown.line([markdown.code(name), _cell(suite.title)]) for name, suite in SUITES.items())]
    lines += ["", f"## Student ({markdown.code(STUDENT)})", "", "Cross-entropy alone."]
    lines += _published(_of(STUDENT, groups))
    for info in settled_methods():
        lines += ["", *_entry(info, digits), *_published(_of(info.name, groups))]
    sums = {method: numbers for method, numbers in groups.items() if len(method.terms) > 1}
    lines += ["", "## Sums of methods", "", "Each term has its own weight, and cross-entropy the smallest of theirs."]
    return "\n".join([*lines, *_published(sums)])


def _of(
    name: str, groups: Mapping[MethodName, Sequence[PublishedNumber]]
) -> dict[MethodName, Sequence[PublishedNumber]]:
    """The published numbers of a method with any options, by its spelling."""
    return {method: numbers for method, numbers in groups.items() if _only_term(method) == name}


def _only_term(method: MethodName) -> str | None:
    names = [name for name, _ in method.terms] or [STUDENT]
    return names[0] if len(names) == 1 else None


def _entry(info: MethodInfo, digits: LeaderboardData) -> Iterator[str]:
    text = read_text(info)
    yield f"## {markdown.escape(info.title)} ({markdown.code(info.name)})"
    yield ""
    yield _prose(text.idea)
    if text.about:
        yield ""
        yield _prose(" ".join(text.about))
    yield ""
    yield from (f"* **{name}**: {said}" for name, said in _facts(info, digits))
    yield from _options(info, text)


def _facts(info: MethodInfo, digits: LeaderboardData) -> Iterator[tuple[str, str]]:
    ce, weight = (f"{info.objective[part]:g}" for part in ("ce", "weight"))
    if info.formula:
        yield "loss", f"{markdown.code(info.formula)}, weight {weight}; cross-entropy, weight {ce}"
    needs = [TEACHERS[info.teacher], VIEWS.get(info.views), *map(REQUIREMENTS.get, info.requires)]
    yield "needs", "; ".join(filter(None, [*needs, STAGES.get(info.pretrain)]))
    if info.recipe:
        yield "recipe of its own", markdown.code(options_text(info.recipe))
    if info.published_recipe:
        yield "published with", markdown.escape(info.published_recipe)
    yield "cost", cost_text(digits, info.name)
    yield "source", markdown.escape(info.citation)
    variants = (f"{markdown.code(f'{info.name}[{name}]')} is {_set(given)}" for name, given in info.variants.items())
    if info.variants:
        yield "variants", "; ".join(variants)
    if info.candidates:
        tuned, sets = markdown.code(f"{info.name}[tuned]"), " or ".join(map(_set, info.candidates))
        yield "candidates", f"{tuned} is {sets}, by the accuracy on held-out training images"


def _set(options: Mapping[str, Any]) -> str:
    return markdown.code(options_text(options))


def cost_text(digits: LeaderboardData, method: str) -> str:
    """What the training by a method costs on profile digits, in words."""
    cost = digits.cost(method)
    pairs = sum(cell.method == method and digits.cost_of(cell) is not None for cell in digits.cells)
    if cost["extra_parameters"] is None:
        return "not measured on profile digits"
    time = f"{cost['relative']:.2f} × the plain student's step time, " if cost["relative"] is not None else ""
    passes = digits.effort(method)["passes"]
    said = f"{time}{cost['extra_parameters']:,} extra parameters, {passes} forward pass{'es' if passes != 1 else ''}"
    return f"{said} of the student (profile digits, {pairs} pair{'s' if pairs != 1 else ''})"


def _options(info: MethodInfo, text: MethodText) -> Iterator[str]:
    if not info.options:
        return
    yield ""
    yield markdown.line(["option", "default", "meaning"])
    yield markdown.line([":--"] * 3)
    for name, default in info.options.items():
        meaning = text.options.get(name, "").rstrip(".")
        choices = ", ".join(map(markdown.code, info.choices.get(name, ())))
        said = "; ".join(filter(None, [_cell(meaning), f"one of {choices}" if choices else ""]))
        yield markdown.line([markdown.code(name), markdown.code(option_text(default)), said])


def _published(groups: Mapping[MethodName, Sequence[PublishedNumber]]) -> Iterator[str]:
    """A folded table for each method: a line for each suite and pair."""
    for method, numbers in sorted(groups.items()):
        yield ""
        yield f"<details><summary>Published: <code>{method}</code>, {len(numbers)}</summary>"
        yield ""
        yield markdown.line(["suite", "pair", "top-1 (%)"])
        yield markdown.line([":--"] * 3)
        cells: dict[tuple[str, str], list[PublishedNumber]] = defaultdict(list)
        for number in numbers:
            cells[number.suite, number.pair].append(number)
        for suite, pair in sorted(cells, key=lambda cell: [*SUITES].index(cell[0])):
            yield markdown.line([suite, pair, _cell("; ".join(_by_source(cells[suite, pair])))])
        yield ""
        yield "</details>"


def _by_source(numbers: Iterable[PublishedNumber]) -> Iterator[str]:
    """``70.66 last (RepDistiller README, 2020)``, with all numbers of a source together."""
    sources: dict[tuple[str, int | None], list[str]] = defaultdict(list)
    for one in numbers:
        spread = f" ± {one.std:.2f}" if one.std is not None else ""
        mark = " ⚠" if one.selection == "best" else ""
        sources[one.source, one.year].append(f"{one.top1:.2f}{spread} {one.selection}{mark}")
    for (source, year), texts in sources.items():
        yield f"{', '.join(texts)} ({source}{f', {year}' if year else ''})"


def _prose(text: str) -> str:
    """The text of a docstring as Markdown: what stands between backticks is code."""
    parts = text.replace("``", "`").split("`")
    return "".join(markdown.code(part) if index % 2 else _escaped(part) for index, part in enumerate(parts))


def _escaped(part: str) -> str:
    """As `markdown.escape`, with the spaces that separate the part from code."""
    return f"{' ' * part.startswith(' ')}{markdown.escape(part)}{' ' * (part.endswith(' ') and part != ' ')}"


def _cell(text: str) -> str:
    """As `_prose`, in a table, where a bar would end the cell, also within code."""
    return re.sub(r"(?<!\\)\|", r"\|", _prose(text))
