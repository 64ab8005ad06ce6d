"""``--new-method``: writes a method that runs as it is, with its test, for a person to put their own loss in."""

from __future__ import annotations

import keyword
import re
import shlex
import sys
from dataclasses import dataclass
from functools import cache
from importlib.metadata import packages_distributions
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from benchmark.cli.commands import DONE, Say
from benchmark.cli.messages import short
from benchmark.errors import UserError
from benchmark.registry import catalog, plugins
from benchmark.registry.catalog import ROOT
from benchmark.runs.names import STUDENT, TEACHER

if TYPE_CHECKING:
    from benchmark.cli.session import Session

LONGEST = 30
"""Letters of a name: it heads columns and becomes part of file names."""

_PLAIN = re.compile(rf"[a-z][a-z0-9_]{{0,{LONGEST - 1}}}")


@dataclass(frozen=True)
class Draft:
    """A method to be written.

    Attributes:
        name: what ``--methods`` will call it.
        method: its file.
        test: its test's file.
        plugin: whether it lies outside the project's ``methods/``.
    """

    name: str
    method: Path
    test: Path
    plugin: bool

    @property
    def title(self) -> str:
        """Its name in tables."""
        return self.name.upper().replace("_", "-")

    @property
    def files(self) -> dict[Path, str]:
        """What is to be written where."""
        templates = Environment(
            loader=FileSystemLoader(Path(__file__).with_name("templates")),
            autoescape=select_autoescape(),
            undefined=StrictUndefined,
            trim_blocks=True,
            keep_trailing_newline=True,
        )
        # In capitals, as no name that the file imports is.
        words = {"name": self.name, "title": self.title, "class_name": self.title.replace("-", "")}
        found = {self.method: "method.py.jinja", self.test: "test_method.py.jinja"}
        return {path: templates.get_template(name).render(words, plugin=self.plugin) for path, name in found.items()}

    @property
    def commands(self) -> tuple[str, ...]:
        """What to type next."""
        contract = ROOT / "tests" / "methods" / "test_contract.py"
        option, variable = "", ""
        if self.plugin:
            option = f" --plugin {_typed(self.method)}"
            variable = f"{plugins.VARIABLE}={shlex.quote(str(self.method))} "
        return (
            f"python -m pytest {_typed(self.test)}",
            f"python {_typed(ROOT / 'run_all.py')} --leaderboard --methods {self.name},kd,srrl{option}",
            f"{variable}python -m pytest {_typed(contract)} -k {self.name}",
        )


def _typed(path: Path) -> str:
    return shlex.quote(short(path))


def run(session: Session, say: Say) -> int:
    """Write the method's file and its test, and say what to type next."""
    draft = drafted(session.options.new_method)
    _write(draft)
    say(f"written: {', '.join(short(path) for path in draft.files)}")
    say("Both run as they are. Put your loss in; its test, the leaderboard with it, and what every method must do:")
    for command in draft.commands:
        say(f"  {command}")
    return DONE


def drafted(asked: str) -> Draft:
    """The draft that a name, or the path of a file to be, stands for.

    Raises:
        UserError: the name cannot be a method's or is taken, or a file is there already.
    """
    path = Path(asked)
    if path.suffix == ".py":
        name, folder = path.stem, path.parent.resolve()
    elif path.name == asked:
        name, folder = asked, ROOT / "methods"
    else:
        raise UserError(f"'{asked}' is neither a name nor a file's path, which ends in .py: write {asked}.py")
    _check_name(name)
    plugin = folder != ROOT / "methods"
    if plugin:
        _check_place(folder, name)
    tests = folder if plugin else ROOT / "tests" / "methods"
    draft = Draft(name, folder / f"{name}.py", tests / f"test_{name}.py", plugin)
    for file in (draft.method, draft.test):
        if file.exists():
            raise UserError(f"{short(file)} is there already, and stays: {_advice(name)}, or move that file away")
    return draft


def _check_place(folder: Path, name: str) -> None:
    if any(folder.is_relative_to(ROOT / package) for package in plugins.PACKAGES):
        raise UserError(
            f"{short(folder / name)}.py would be found by nobody: write --new-method {name} for a method in methods/, "
            f"or choose a folder outside {', '.join(plugins.PACKAGES)}"
        )


def _check_name(name: str) -> None:
    if not _PLAIN.fullmatch(name) or keyword.iskeyword(name):
        near = re.sub("[^a-z0-9]+", "_", name.lower()).strip("_")[:LONGEST]
        example = near if _PLAIN.fullmatch(near) and not keyword.iskeyword(near) else "my_method"
        raise UserError(
            f"'{name}' cannot name a method: take a to z, 0 to 9 and _, a letter first, at most {LONGEST}, and no word "
            f"of Python's own, such as '{example}'"
        )
    if name in {STUDENT, TEACHER}:
        raise UserError(f"'{name}' is what tables call the network itself: {_advice(name)}")
    if name in catalog.methods():
        raise UserError(f"there is a method '{name}' already ({catalog.method(name).title}): {_advice(name)}")
    if name in _modules():
        raise UserError(f"'{name}' is a module that others import, and would find this file instead: {_advice(name)}")
    if name in _stems():
        raise UserError(f"'{name}' is a file that methods import, methods/{name}.py: {_advice(name)}")


def _stems() -> set[str]:
    return {path.stem for path in (ROOT / "methods").iterdir()}


@cache
def _modules() -> frozenset[str]:
    """Modules of Python, of the project and of what is installed: a file's folder may come before them all."""
    return frozenset({*sys.stdlib_module_names, *plugins.PACKAGES, *packages_distributions()})


def _advice(name: str) -> str:
    """What else a method could be called."""
    taken = {*catalog.methods(), *_stems(), *_modules()}
    names = (f"{name[: LONGEST - 2]}{number}" for number in count(2))
    return f"choose another name, such as '{next(each for each in names if each not in taken)}'"


def _write(draft: Draft) -> None:
    for path, text in draft.files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise UserError(
                f"cannot write {short(path)} ({error.strerror}): choose another place, such as "
                f"--new-method path/to/{draft.name}.py"
            ) from error
