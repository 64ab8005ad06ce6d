"""``new-method``: writes a method that runs as it is, and its test; the user then changes the loss."""

from __future__ import annotations

import keyword
import re
import shlex
from importlib.util import find_spec
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from benchmark.cli import OK, Say
from benchmark.cli.messages import short
from benchmark.cli.session import Session
from benchmark.errors import UserError, writing
from benchmark.registry import catalog, plugins
from benchmark.registry.catalog import ROOT
from benchmark.runs.names import STUDENT, TEACHER

LONGEST = 30
"""Most characters of a name, which heads columns and becomes part of file names."""

_PLAIN = re.compile(rf"[a-z][a-z0-9_]{{0,{LONGEST - 1}}}")


def run(session: Session, say: Say) -> int:
    """Write the file and the test of a method, given its name or the path of its file; say what to type next."""
    return create(session.options.name, say)


def create(asked: str, say: Say) -> int:
    """Do the same for a name or a path.

    Raises:
        UserError: the name cannot be a method's or is taken, or a file exists or cannot be written.
    """
    path = Path(asked)
    if path.suffix != ".py" and path.name != asked:
        raise UserError(f"'{asked}' is neither a name nor a file's path, which ends in .py: write {asked}.py")
    name, folder = (path.stem, path.parent.resolve()) if path.suffix == ".py" else (asked, ROOT / "methods")
    _check_name(name)
    plugin = folder != ROOT / "methods"
    method, test = folder / f"{name}.py", (folder if plugin else ROOT / "tests" / "methods") / f"test_{name}.py"
    for file in (method, test):
        if file.exists():
            raise UserError(f"{short(file)} exists already: choose another name, or move that file")
    for file, text in zip((method, test), _texts(name, plugin=plugin), strict=True):
        with writing(file.parent, "new-method path/to/NAME.py"):
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("x", encoding="utf-8") as opened:
                opened.write(text)
    option = f" --plugin {_typed(method)}" if plugin else ""
    variable = f"{plugins.VARIABLE}={shlex.quote(str(method))} " if plugin else ""
    say(f"written: {short(method)}, {short(test)}")
    say("Both run as they are. Put your loss in; then run its test, the leaderboard, and the tests of all methods:")
    say(f"  python -m pytest {_typed(test)}")
    say(f"  python {_typed(ROOT / 'run_all.py')} leaderboard --methods {name},kd,srrl{option}")
    say(f"  {variable}python -m pytest {_typed(ROOT / 'tests' / 'methods' / 'test_contract.py')} -k {name}")
    return OK


def _texts(name: str, *, plugin: bool) -> list[str]:
    """The texts of the method and of its test."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    title = name.upper().replace("_", "-")
    # The class name is in capitals, so that it equals no name that the file imports.
    words = {"name": name, "title": title, "class_name": title.replace("-", ""), "plugin": plugin}
    return [templates.get_template(file).render(words) for file in ("method.py.jinja", "test_method.py.jinja")]


def _check_name(name: str) -> None:
    if not _PLAIN.fullmatch(name) or keyword.iskeyword(name):
        reason = f"take a letter, then letters, digits and _ (a to z, at most {LONGEST} characters, no Python keyword)"
    elif name in {STUDENT, TEACHER, *catalog.methods()}:
        reason = "it is a method already"
    elif find_spec(name):
        # The file's folder may come before all others on the path.
        reason = "a module has that name, and the file would hide it"
    else:
        return
    raise UserError(f"'{name}' cannot name a method: {reason}; choose another name, such as my_method")


def _typed(path: Path) -> str:
    return shlex.quote(short(path))
