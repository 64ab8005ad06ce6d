"""``--export RUN``: a trained network as a folder of weights, what it is, and a model card."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from benchmark.cli import messages
from benchmark.cli.arguments import parser
from benchmark.cli.commands import DONE, Say
from benchmark.cli.names import begins_id, find_cells, split_seed
from benchmark.cli.session import Session
from benchmark.cli.why import find_run, jobs_of, plan_of
from benchmark.errors import UserError
from benchmark.files import write_atomically
from benchmark.ids import file_digest, short_id
from benchmark.lineage.graph import Find, Node, finder, planned
from benchmark.lineage.records import Archive, StoredRecord
from benchmark.planning.plan import Plan
from benchmark.report.model_card import Exported, card, config
from benchmark.runs.store import DONE as FINISHED
from benchmark.runs.store import FAILED, NOT_APPLICABLE, check_weights
from benchmark.tables.table import Cell, Table

_LOOKED_AT = ("subject", "base")
"""Where the spec of a job that looks at a network names the run that left it."""
_CONFIG = "config.json"


@dataclass(frozen=True)
class _Choice:
    """The run to export, and a cell that it is trained for, if any."""

    node: Node
    cell: tuple[Table, Cell] | None


def run(session: Session, say: Say) -> int:
    """Write the folder.

    Raises:
        UserError: the name means nothing, no run of that name is done, or its weights are not here or others than those
            that its record states.
    """
    choice = _choice(session.options.export, session)
    known = _finished(choice, session)
    weights = known.weights(session.store.results, session.store.checkpoints)
    if weights is None:
        raise UserError(
            f"the weights of run {short_id(known.id)} are not here: the repository keeps teachers' weights, not "
            f"students'. {_again(known, choice, session)}"
        )
    check_weights(weights, known.record.weights)
    folder = _folder(known, session)
    exported = _exported(known, weights, session)
    contents = {
        "model.safetensors": weights.read_bytes(),
        _CONFIG: config(exported).encode(),
        "README.md": card(exported, folder.resolve().name).encode(),
    }
    _make(folder)
    for name, content in contents.items():
        write_atomically(folder / name, content)
    place = messages.short(folder)
    say(f"written: {', '.join(f'{place}/{name}' for name in contents)}")
    say(f"loaded by: import models; network = models.load({place!r})")
    if exported.needs:
        say(exported.needs)
    return DONE


# Which run.


def _choice(name: str, session: Session) -> _Choice:
    if begins_id(name):
        plan = plan_of(session.whole_tables, session)
        node = _network(find_run(name, plan, session), finder(plan, session.store))
        return _Choice(node, next(_cells_of(node, plan, session), None))
    cell_name, seed = split_seed(name)
    table, cells = find_cells(cell_name, session.whole_tables)
    plan = plan_of([table], session)
    jobs = [job for job in jobs_of(cells[0], plan, session) if seed in (None, job.seed)]
    find = finder(plan, session.store)
    nodes = [_network(planned(job, plan, session.store), find) for job in jobs]
    if not nodes:
        raise UserError(f"{name}: there is no such run; the wanted seeds are {_listed(session.options.seeds)}")
    return _Choice(next((node for node in nodes if node.state == FINISHED), nodes[0]), (table, cells[0]))


def _network(node: Node, find: Find) -> Node:
    """The run that left the network which a job is about."""
    named = next((node.spec[part] for part in _LOOKED_AT if part in node.spec), None)
    return _network(find(named["id"]), find) if named else node


def _cells_of(node: Node, plan: Plan, session: Session) -> Iterator[tuple[Table, Cell]]:
    find = finder(plan, session.store)
    for table in plan.tables:
        for cell in table.cells:
            nodes = (planned(job, plan, session.store) for job in plan.cells[cell.key])
            if any(_network(one, find).id == node.id for one in nodes):
                yield table, cell


def _finished(choice: _Choice, session: Session) -> StoredRecord:
    node = choice.node
    if node.kind in ("stage", "evaluate"):
        what = "first stage, which is no whole network" if node.kind == "stage" else "file that somebody gave: use that"
        raise UserError(f"{short_id(node.id)} is a {what}")
    if node.state != FINISHED:
        raise UserError(f"run {short_id(node.id)} {_unfinished(choice, session)}")
    return Archive(session.store.results).beginning(node.id)[0]


# What is known of it.


def _exported(known: StoredRecord, weights: Path, session: Session) -> Exported:
    teacher = known.record.spec["teacher"]
    found = Archive(session.store.results).beginning(teacher["id"]) if teacher else []
    return Exported(
        known=known,
        teacher=next(iter(found), None),
        num_classes=_num_classes(weights, known),
        sha256=file_digest(weights),
        profile=session.resolver.folder,
        note=session.resolver.note,
        command=_finding(session),
    )


def _num_classes(weights: Path, known: StoredRecord) -> int:
    """Width of the logits, from the file's head.

    Raises:
        UserError: the file cannot be read, or is another run's.
    """
    advice = "remove it, and the run is trained again where it is needed"
    try:
        with safe_open(weights, framework="np") as file:
            about = json.loads((file.metadata() or {}).get("about", "{}"))
            classes = int(file.get_slice("classifier.weight").get_shape()[0])
    except (OSError, SafetensorError, ValueError) as error:
        raise UserError(f"weights {weights} cannot be read ({error}): {advice}") from None
    if about.get("run") != known.id:
        raise UserError(f"weights {weights} are those of another run than {short_id(known.id)}: {advice}")
    return classes


def _folder(known: StoredRecord, session: Session) -> Path:
    """Where it goes; a folder that holds something else is left alone."""
    folder: Path = session.options.to or Path("exports", f"{known.student}-{short_id(known.id)}")
    # pathlib's raises where a name is too long, which is told where the folder is made.
    if os.path.isdir(folder) and any(folder.iterdir()) and not _is_of(folder, known):  # noqa: PTH112
        raise UserError(f"{folder} holds something else: choose another folder with --to")
    return folder


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write to {folder} ({error.strerror}): choose another folder with --to") from None


def _is_of(folder: Path, known: StoredRecord) -> bool:
    try:
        return bool(json.loads((folder / _CONFIG).read_text(encoding="utf-8"))["run"] == known.id)
    except (OSError, ValueError, KeyError, TypeError):
        return False


# What the user can do where there is nothing to export.


def _again(known: StoredRecord, choice: _Choice, session: Session) -> str:
    record, command = messages.short(known.path), _command(choice, session)
    if command is None:
        return f"To train it again, remove {record} and repeat the command that trained it"
    return f"To train it again: rm {shlex.quote(record)} && {command}"


def _unfinished(choice: _Choice, session: Session) -> str:
    """What state a run is in, and what to do about it."""
    state, record, command = choice.node.state, choice.node.record, _command(choice, session)
    if record and state == NOT_APPLICABLE:
        return f"does not apply: {record.reason}"
    if state == FAILED:
        again = f"{command} --retry-failed" if command else "repeat the command that trained it, with --retry-failed"
        return f"is {state}: {again}"
    return f"is {state}: {command or 'train what needs it, it stands in no table'}"


def _command(choice: _Choice, session: Session) -> str | None:
    """The command that trains a run, as a person would type it; None where that cannot be told."""
    if choice.cell is None:
        return None
    table, cell = choice.cell
    seed = choice.node.spec["seed"]
    words = [
        *_what(table, session),
        *("--profile", session.resolver.profile.name),
        *("--pairs", cell.pair, "--methods", cell.method),
        *("--seeds", f"{seed}," if seed else "1"),
        *_options(session, ("set", "teacher", "plugin"), str),
        *(("--preset", session.options.preset) if session.options.preset else ()),
        *_places(session),
    ]
    return shlex.join(["python", "run_all.py", *words])


def _finding(session: Session) -> str:
    """The command that finds a run on any machine, without what is asked of it: files go by their bare names."""
    files = _options(session, ("plugin",), lambda path: path.name)
    words = ("--profile", session.resolver.profile.name, *_options(session, ("set",), str), *files)
    return shlex.join(["python", "run_all.py", *words])


def _what(table: Table, session: Session) -> tuple[str, ...]:
    own = next((file for file in session.options.table if Path(file).stem == table.name), None)
    number = own or table.number
    return (f"--{table.kind}", number) if number else (f"--{table.kind}",)


def _options(session: Session, names: Iterable[str], text: Callable[[Any], str]) -> Iterator[str]:
    """Options that may be given several times, as they were."""
    for name in names:
        for value in getattr(session.options, name):
            yield from (f"--{name}", text(value))


def _places(session: Session) -> Iterator[str]:
    """The options that decide where it lies, where that is not the usual place."""
    for name in ("results", "checkpoints"):
        value = getattr(session.options, name)
        if value != parser().get_default(name):
            yield from (f"--{name}", str(value))


def _listed(seeds: Iterable[int]) -> str:
    return ", ".join(map(str, seeds))
