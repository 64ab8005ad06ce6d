"""The measures of Tables 2 and 3 and Figure 2 on trained networks: one file per measure, named as the measure.

A file that defines ``measure`` is a measure. Planning reads two literals from its syntax tree, because measures import
torch::

    measures()["similarity"].compares                  # planning: is a teacher needed?
    load("similarity")(student, teacher, 100)          # in a worker: {"metrics": {"kl_teacher": 0.51, ...}}
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from benchmark.errors import UserError, unknown
from benchmark.files import ALPHABET, is_plain

if TYPE_CHECKING:
    from benchmark.analysis.outputs import Outputs

__all__ = ["Measure", "MeasureInfo", "load", "measures", "read_measure"]

_LITERALS: Mapping[str, type] = {"REVISION": int, "COMPARES": bool}


@dataclass(frozen=True)
class MeasureInfo:
    """The literals of one measure's file.

    Attributes:
        name: the file's stem.
        revision: raised when a change of the code changes results.
        compares: whether it compares its subject with a teacher.
    """

    name: str
    revision: int
    compares: bool


class Measure(Protocol):
    """The function ``measure`` of every measure's file."""

    def __call__(self, subject: Outputs, teacher: Outputs | None, num_classes: int) -> dict[str, Any]:
        """Measure one network.

        Args:
            subject: outputs of the network on the whole test set.
            teacher: outputs of its teacher on the same images; None if the measure does not compare.
            num_classes: of the data set.

        Returns:
            ``metrics``, numbers by name, and further data for figures; all of it goes into the record.
        """


@cache
def measures() -> Mapping[str, MeasureInfo]:
    """All measures by name."""
    found = (read_measure(path) for path in sorted(Path(__file__).parent.glob("*.py")))
    return {info.name: info for info in found if info is not None}


def load(name: str) -> Measure:
    """The measure of the file ``name``.

    Raises:
        UserError: there is no such measure; names the most similar one.
    """
    if name not in measures():
        raise unknown("measure", name, measures())
    return cast("Measure", import_module(f"{__name__}.{name}").measure)


def read_measure(path: Path) -> MeasureInfo | None:
    """The measure that a file defines, or None if it defines none.

    Raises:
        UserError: the file is not valid Python, or lacks one of the literals.
    """
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    except (SyntaxError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: this is not valid Python ({error})") from None
    if not any(isinstance(node, ast.FunctionDef) and node.name == "measure" for node in tree.body):
        return None
    if not is_plain(path.stem):
        raise UserError(f"{path}: rename the file, since a measure's name is made of {ALPHABET}")
    constants = (node for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant))
    stated = {ast.unparse(node.targets[0]): ast.literal_eval(node.value) for node in constants}
    for name, kind in _LITERALS.items():
        # Compared by type, since True is an int too.
        if type(stated.get(name)) is not kind:
            raise UserError(f"{path}: a measure states {name} as a literal {kind.__name__}, like {name} = {kind(1)}")
    return MeasureInfo(path.stem, stated["REVISION"], stated["COMPARES"])
