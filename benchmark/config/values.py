"""What recipes and objectives are made of: resolved values by dotted key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmark.registry import catalog
from benchmark.runs.names import MethodName
from benchmark.runs.objective import Term
from benchmark.runs.options import unusual
from benchmark.runs.recipe import RECIPE_KEYS, Recipe


def is_schedule(key: str) -> bool:
    """Whether a value is meant for one length of the training: milestones, or epochs of a first stage."""
    return key == "milestones" or key.endswith(".stage.epochs")


def scaled(value: Any, factor: float) -> Any:
    """A value of a schedule after the same share of a shorter or longer training."""
    if isinstance(value, tuple):
        return tuple(sorted({scaled(epoch, factor) for epoch in value}))
    return max(1, round(value * factor))


def recipe_of(name: str, values: Mapping[str, Any]) -> Recipe:
    """The recipe of some values, by its name."""
    return Recipe(name=name, **{key: values[key] for key in RECIPE_KEYS if key != "name"})


def terms_of(values: Mapping[str, Any], method: MethodName) -> tuple[Term, ...]:
    """The terms of a method's objective; options that its name states win over the values."""
    terms = []
    for name, asked in method.terms:
        info = catalog.method(name)
        prefix = f"objectives.{name}"
        options = {option: values[f"{prefix}.options.{option}"] for option in info.options} | dict(asked)
        terms.append(Term(name, values[f"{prefix}.weight"], unusual(info, options), info.revision, info.code))
    return tuple(terms)
