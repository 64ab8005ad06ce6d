"""``new-method``: writes a method that runs as it is, and its test; the user then changes the loss."""

from __future__ import annotations

import keyword
import re
import shlex
import sys
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from benchmark.cli import OK, Say
from benchmark.cli.messages import short
from benchmark.errors import UserError
from benchmark.registry import catalog, plugins
from benchmark.registry.catalog import ROOT
from benchmark.runs.names import STUDENT, TEACHER

LONGEST = 30
"""Most characters of a name, which heads columns and becomes part of file names."""

_PLAIN = re.compile(rf"[a-z][a-z0-9_]{{0,{LONGEST - 1}}}")


@dataclass(frozen=True)
class Draft:
    """The files of a new method.

    Attributes:
        name: of the method.
        method: path of the method.
        test: path of its test.
        plugin: whether the method lies outside the project's ``methods/``.
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
        """The texts to write, by path."""
        templates = Environment(
            loader=FileSystemLoader(Path(__file__).with_name("templates")),
            autoescape=select_autoescape(),
            undefined=StrictUndefined,
            trim_blocks=True,
            keep_trailing_newline=True,
        )
        # The class name is in capitals, so that it equals no name that the file imports.
        words = {"name": self.name, "title": self.title, "class_name": self.title.replace("-", "")}
        found = {self.method: "method.py.jinja", self.test: "test_method.py.jinja"}
        return {path: templates.get_template(name).render(words, plugin=self.plugin) for path, name in found.items()}

    @property
    def commands(self) -> tuple[str, ...]:
        """Commands to type next."""
        contract = ROOT / "tests" / "methods" / "test_contract.py"
        option, variable = "", ""
        if self.plugin:
            option = f" --plugin {_typed(self.method)}"
            variable = f"{plugins.VARIABLE}={shlex.quote(str(self.method))} "
        return (
            f"python -m pytest {_typed(self.test)}",
            f"python {_typed(ROOT / 'run_all.py')} leaderboard --methods {self.name},kd,srrl{option}",
            f"{variable}python -m pytest {_typed(contract)} -k {self.name}",
        )


def run(asked: str, say: Say) -> int:
    """Write the file and the test of a method, given its name or the path of its file; say what to type next.

    Raises:
        UserError: the name cannot be a method's or is taken, or a file exists or cannot be written.
    """
    draft = _draft(asked)
    _write(draft)
    say(f"written: {', '.join(short(path) for path in draft.files)}")
    say("Both run as they are. Put your loss in; then run its test, the leaderboard, and the tests of all methods:")
    for command in draft.commands:
        say(f"  {command}")
    return OK


def _draft(asked: str) -> Draft:
    path = Path(asked)
    if path.suffix == ".py":
        name, folder = path.stem, path.parent.resolve()
    elif path.name == asked:
        name, folder = asked, ROOT / "methods"
    else:
        raise UserError(f"'{asked}' is neither a name nor a file's path, which ends in .py: write {asked}.py")
    _check_name(name)
    plugin = folder != ROOT / "methods"
    if plugin and any(folder.is_relative_to(ROOT / package) for package in plugins.PACKAGES):
        raise UserError(
            f"{short(folder / name)}.py would not be found: write new-method {name} for a method in methods/, or "
            f"choose a folder outside {', '.join(plugins.PACKAGES)}"
        )
    tests = folder if plugin else ROOT / "tests" / "methods"
    draft = Draft(name, folder / f"{name}.py", tests / f"test_{name}.py", plugin)
    if file := next((file for file in (draft.method, draft.test) if file.exists()), None):
        raise UserError(f"{short(file)} exists already: choose another name, or move that file")
    return draft


def _check_name(name: str) -> None:
    modules = {*sys.stdlib_module_names, *plugins.PACKAGES, *packages_distributions()}
    reasons = {
        "it is reserved": name in {STUDENT, TEACHER},
        "a method has that name": name in catalog.methods(),
        # The file's folder may come before all others on the path.
        "a module has that name, and the file would hide it": name in modules,
        f"take a letter, then letters, digits and _ (a to z, at most {LONGEST} characters, no keyword of Python)": (
            not _PLAIN.fullmatch(name) or keyword.iskeyword(name)
        ),
    }
    if reason := next((reason for reason, holds in reasons.items() if holds), None):
        raise UserError(f"'{name}' cannot name a method: {reason}; choose another name, such as my_method")


def _typed(path: Path) -> str:
    return shlex.quote(short(path))


def _write(draft: Draft) -> None:
    for path, text in draft.files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise UserError(
                f"cannot write {short(path)} ({error.strerror}): choose another place, such as "
                f"new-method path/to/{draft.name}.py"
            ) from error
