"""``export``: writes a trained network as a folder of weights, configuration and model card."""

from __future__ import annotations

import argparse
import json
import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from benchmark.cli import OK, Say, messages
from benchmark.cli.arguments import defaults
from benchmark.cli.names import Lookup, begins_id, find_cells, split_seed
from benchmark.config.resolve import ConfigResolver
from benchmark.errors import UserError, writing
from benchmark.files import write_atomically
from benchmark.ids import file_digest, short_id
from benchmark.lineage.graph import Find, Node, finder, planned
from benchmark.lineage.records import Archive, StoredRecord
from benchmark.report.model_card import Exported, card, config
from benchmark.runs.store import DONE, FAILED, NOT_APPLICABLE, Store, check_weights
from benchmark.tables.table import Cell, Table

_LOOKED_AT = ("subject", "base")
"""Keys under which the spec of an analysis or a probe holds the run that trained the network."""
_CONFIG = "config.json"


@dataclass(frozen=True)
class _Choice:
    """The run to export, and a cell of the tables that it is trained for, if there is one."""

    node: Node
    cell: tuple[Table, Cell] | None


def run(name: str, lookup: Lookup, resolver: ConfigResolver, options: argparse.Namespace, say: Say) -> int:
    """Write the folder.

    Args:
        name: of a cell, or the beginning of a run's id.
        lookup: finds the run.
        resolver: knows the profile.
        options: as parsed; printed commands repeat them.
        say: prints a line.

    Raises:
        UserError: the name fits no finished run, its weights are not here, or they do not match its record.
    """
    choice = _choice(name, lookup)
    store, command = lookup.store, _command(choice, resolver, options)
    known = _finished(choice, store, command)
    weights = known.weights(store.results, store.checkpoints)
    if weights is None:
        raise UserError(
            f"the weights of run {short_id(known.id)} are not here: the repository keeps teachers' weights, not "
            f"students'. {_again(known, command)}"
        )
    check_weights(weights, known.record.weights)
    folder = _folder(known, options.to)
    exported = _exported(known, weights, store, resolver, options)
    contents = {
        "model.safetensors": weights.read_bytes(),
        _CONFIG: config(exported).encode(),
        "README.md": card(exported, folder.resolve().name).encode(),
    }
    with writing(folder, "--to"):
        folder.mkdir(parents=True, exist_ok=True)
    for file, content in contents.items():
        write_atomically(folder / file, content)
    place = messages.short(folder)
    say(f"written: {', '.join(f'{place}/{file}' for file in contents)}")
    say(f"loaded by: import models; network = models.load({place!r})")
    if exported.needs:
        say(exported.needs)
    return OK


# Which run.


def _choice(name: str, lookup: Lookup) -> _Choice:
    if begins_id(name):
        plan = lookup.plan(lookup.tables)
        node = _network(lookup.run(name, plan), finder(plan, lookup.store))
        every = ((table, cell) for table in plan.tables for cell in table.cells)
        trained = ((table, cell) for table, cell in every if node.id in [job.id for job in plan.cells[cell.key]])
        return _Choice(node, next(trained, None))
    cell_name, seed = split_seed(name)
    table, cells = find_cells(cell_name, lookup.tables)
    plan = lookup.plan([table])
    jobs = [job for job in lookup.jobs(cells[0], plan) if seed in (None, job.seed)]
    find = finder(plan, lookup.store)
    nodes = [_network(planned(job, plan, lookup.store), find) for job in jobs]
    if not nodes:
        raise UserError(f"{name}: there is no such run; the wanted seeds are {', '.join(map(str, lookup.seeds))}")
    return _Choice(next((node for node in nodes if node.state == DONE), nodes[0]), (table, cells[0]))


def _network(node: Node, find: Find) -> Node:
    """The run that trained the network of a job, which may be an analysis or a probe."""
    named = next((node.spec[part] for part in _LOOKED_AT if part in node.spec), None)
    return _network(find(named["id"]), find) if named else node


def _finished(choice: _Choice, store: Store, command: str | None) -> StoredRecord:
    node = choice.node
    if node.kind in ("stage", "evaluate"):
        what = "first stage, which is no whole network" if node.kind == "stage" else "file that somebody gave: use that"
        raise UserError(f"{short_id(node.id)} is a {what}")
    if node.state != DONE:
        raise UserError(f"run {short_id(node.id)} {_unfinished(node, command)}")
    return Archive(store.results).beginning(node.id)[0]


# What is known of it.


def _exported(
    known: StoredRecord, weights: Path, store: Store, resolver: ConfigResolver, options: argparse.Namespace
) -> Exported:
    teacher = known.record.spec["teacher"]
    found = Archive(store.results).beginning(teacher["id"]) if teacher else []
    # The command of the card works on any machine, so files go by their bare names.
    shown = argparse.Namespace(**{**vars(options), "plugin": [path.name for path in options.plugin]})
    words = ("why", short_id(known.id), "--profile", resolver.profile.name, *_words(shown, "set", "plugin"))
    return Exported(
        known=known,
        teacher=next(iter(found), None),
        num_classes=_num_classes(weights, known),
        sha256=file_digest(weights),
        profile=resolver.folder,
        note=resolver.note,
        why=_typed(*words),
    )


def _num_classes(weights: Path, known: StoredRecord) -> int:
    """Read the width of the logits from the header of the file.

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


def _folder(known: StoredRecord, wanted: Path | None) -> Path:
    """The folder to write, which must be empty, new, or that of an earlier export of the run."""
    folder = wanted or Path("exports", f"{known.student}-{short_id(known.id)}")
    # pathlib's raises where a name is too long; `run` reports that.
    if os.path.isdir(folder) and any(folder.iterdir()) and not _is_of(folder, known):  # noqa: PTH112
        raise UserError(f"{folder} holds something else: choose another folder with --to")
    return folder


def _is_of(folder: Path, known: StoredRecord) -> bool:
    try:
        return bool(json.loads((folder / _CONFIG).read_text(encoding="utf-8"))["run"] == known.id)
    except (OSError, ValueError, KeyError, TypeError):
        return False


# What the user can do where there is nothing to export.


def _again(known: StoredRecord, command: str | None) -> str:
    record = messages.short(known.path)
    if command is None:
        return f"To train it again, remove {record} and repeat the command that trained it"
    return f"To train it again: rm {shlex.quote(record)} && {command}"


def _unfinished(node: Node, command: str | None) -> str:
    """The state of a run, and what to do about it."""
    if node.record and node.state == NOT_APPLICABLE:
        return f"does not apply: {node.record.reason}"
    if node.state == FAILED:
        again = f"{command} --retry-failed" if command else "repeat the command that trained it, with --retry-failed"
        return f"is {node.state}: {again}"
    return f"is {node.state}: {command or 'train what needs it, it stands in no table'}"


def _command(choice: _Choice, resolver: ConfigResolver, options: argparse.Namespace) -> str | None:
    """The command that trains a run, as a person would type it; None where no table names the run."""
    if choice.cell is None:
        return None
    (table, cell), seed = choice.cell, choice.node.spec["seed"]
    return _typed(
        *_what(table, options.table),
        *("--profile", resolver.profile.name),
        *("--pairs", cell.pair, "--methods", cell.method),
        *("--seeds", f"{seed}," if seed else "1"),
        *_words(options, "set", "teacher", "plugin", "preset", "results", "checkpoints"),
    )


def _what(table: Table, wanted: list[str]) -> tuple[str, ...]:
    own = next((file for file in wanted if Path(file).stem == table.name), None)
    number = own or table.number
    return (f"--{table.kind}", number) if number else (table.kind,)


def _words(options: argparse.Namespace, *names: str) -> Iterator[str]:
    """The words of options that have another value than the default."""
    for name in names:
        value = getattr(options, name)
        if value != defaults()[name]:
            for one in value if isinstance(value, list) else [value]:
                yield from (f"--{name}", str(one))


def _typed(*words: str) -> str:
    return shlex.join(["python", "run_all.py", *words])
