"""``export``: writes a trained network as a folder of weights, configuration and model card."""

from __future__ import annotations

import itertools
import json
import shlex
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from benchmark.cli import OK, Say, messages
from benchmark.cli.names import Lookup, begins_id, find_cells, split_seed
from benchmark.cli.session import Session
from benchmark.errors import UserError, writing
from benchmark.files import write_atomically
from benchmark.ids import file_digest, short_id
from benchmark.lineage.graph import Find, Node, finder, planned
from benchmark.lineage.records import Archive, StoredRecord
from benchmark.report.model_card import Exported, card, config
from benchmark.runs.store import DONE, NOT_APPLICABLE, Store
from benchmark.runs.weight_files import check_weights

_LOOKED_AT = ("subject", "base")
"""Keys under which the spec of an analysis or a probe holds the run that trained the network."""


def run(session: Session, say: Say) -> int:
    """Write the folder.

    Raises:
        UserError: the name fits no finished run, its weights are not here, or they do not match its record.
    """
    store = session.store
    known = _finished(_node(session.options.run, session.lookup), store)
    weights = known.weights(store.results, store.checkpoints)
    if weights is None:
        raise UserError(
            f"the weights of run {short_id(known.id)} are not here: the repository keeps teachers' weights, not "
            f"students'. To train it again, remove {messages.short(known.path)} and repeat the command that trained it"
        )
    check_weights(weights, known.record.weights)
    exported = _exported(known, weights, session)
    name = f"{known.student}-{short_id(known.id)}".replace("/", ".")
    folder = _empty_folder(session.options.to or Path("exports", name))
    contents = {
        "model.safetensors": weights.read_bytes(),
        "config.json": config(exported).encode(),
        "README.md": card(exported, folder.resolve().name).encode(),
    }
    for file, content in contents.items():
        write_atomically(folder / file, content)
    place = messages.short(folder)
    say(f"written: {', '.join(f'{place}/{file}' for file in contents)}")
    say(f"loaded by: import models; network = models.load({place!r})")
    if exported.needs:
        say(exported.needs)
    return OK


def _empty_folder(folder: Path) -> Path:
    with writing(folder, "--to"):
        folder.mkdir(parents=True, exist_ok=True)
        empty = not any(folder.iterdir())
    if not empty:
        raise UserError(f"{messages.short(folder)} is not empty: choose another folder with --to")
    return folder


def _node(name: str, lookup: Lookup) -> Node:
    """The run to export: the one with an id, or the first of a cell that is done."""
    if begins_id(name):
        plan = lookup.plan(lookup.tables)
        return _network(lookup.run(name, plan), finder(plan, lookup.store))
    cell_name, seed = split_seed(name)
    table, cells = find_cells(cell_name, lookup.tables)
    plan = lookup.plan([table])
    find = finder(plan, lookup.store)
    jobs = [job for job in lookup.jobs(cells[0], plan) if seed in (None, job.seed)]
    nodes = [_network(planned(job, plan, lookup.store), find) for job in jobs]
    if not nodes:
        raise UserError(f"{name}: there is no such run; the wanted seeds are {', '.join(map(str, lookup.seeds))}")
    return next((node for node in nodes if node.state == DONE), nodes[0])


def _network(node: Node, find: Find) -> Node:
    """The run that trained the network of a job, which may be an analysis or a probe."""
    named = next((node.spec[part] for part in _LOOKED_AT if part in node.spec), None)
    return _network(find(named["id"]), find) if named else node


def _finished(node: Node, store: Store) -> StoredRecord:
    run = f"run {short_id(node.id)}"
    if node.kind != "train":
        raise UserError(f"{run} trains no network to export: it is a first stage, or weights from a file")
    if node.record and node.state == NOT_APPLICABLE:
        raise UserError(f"{run} does not apply: {node.record.reason}")
    if node.state != DONE:
        advice = "train the table that it stands in, with --retry-failed if it has failed"
        raise UserError(f"{run} is {node.state}: {advice}")
    return Archive(store.results).beginning(node.id)[0]


def _exported(known: StoredRecord, weights: Path, session: Session) -> Exported:
    options, resolver = session.options, session.resolver
    num_classes, wrapping = _form(weights, known)
    teachers = Archive(session.store.results).teachers(known)
    # The command of the card works on any machine, so files go by their bare names.
    given = [("--set", change) for change in options.set] + [("--plugin", path.name) for path in options.plugin]
    command = ["python", "run_all.py", "why", short_id(known.id), "--profile", resolver.profile.name]
    return Exported(
        known=known,
        teacher=next(iter(teachers), None),
        num_classes=num_classes,
        sha256=file_digest(weights),
        profile=resolver.folder,
        note=resolver.note,
        why=shlex.join([*command, *itertools.chain(*given)]),
        earlier=tuple(teachers[1:]),
        wrapping=wrapping,
    )


def _form(weights: Path, known: StoredRecord) -> tuple[int, dict[str, Any] | None]:
    """Read the width of the logits, and what the method has built around the network, from the header of the file.

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
    return classes, about.get("wrapping")
