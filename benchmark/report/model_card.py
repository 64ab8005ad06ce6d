"""The files of an exported network: ``config.json`` for programs, and a model card for people."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import yaml

from benchmark.ids import short_id
from benchmark.lineage.describe import data_text, origin
from benchmark.lineage.graph import objective_text, values_text
from benchmark.lineage.records import StoredRecord
from benchmark.registry import catalog, plugins
from benchmark.report import markdown
from benchmark.runs.names import STUDENT

_TEMPLATES = Path(__file__).parent / "templates"
_CITATION = catalog.ROOT / "CITATION.cff"
_PREPROCESSING = ("crop", "crop_size", "resize", "mean", "std")


@dataclass(frozen=True)
class Exported:
    """A trained network and the facts about it.

    Attributes:
        known: the record of the run.
        teacher: the record of its teacher, if it had one and the store has the record.
        num_classes: width of the logits.
        sha256: hash of the weights file.
        profile: name of the profile's folder.
        note: the profile's remark, for example on stand-in data and narrowed networks; may be empty.
        why: the command that shows what the run rests on.
        earlier: in a chain, the records of the teacher's teacher and of those before it, as far as they are here.
        wrapping: what the method has built around the network, for `models.rewrap`; None for a plain network.
    """

    known: StoredRecord
    teacher: StoredRecord | None
    num_classes: int
    sha256: str
    profile: str
    note: str
    why: str
    earlier: tuple[StoredRecord, ...] = ()
    wrapping: Mapping[str, Any] | None = None

    @property
    def spec(self) -> Mapping[str, Any]:
        """The specification of the run."""
        return self.known.record.spec

    @property
    def recipe(self) -> Mapping[str, Any]:
        """Its resolved recipe."""
        recipe: Mapping[str, Any] = self.spec["recipe"]
        return recipe

    @property
    def training(self) -> str:
        """The kind of training, in a few words."""
        if self.known.method == STUDENT or not self.spec["teacher"]:
            return "trained with cross-entropy alone"
        taught = [(self.spec["teacher"], self.known), *self.lessons]
        return ", itself ".join(f"distilled from {teacher['network']} by {one.method}" for teacher, one in taught)

    @property
    def lessons(self) -> list[tuple[Mapping[str, Any], StoredRecord]]:
        """In a chain, network and id of each teacher that taught a teacher, and the record of the taught one."""
        taught = (one for one in (self.teacher, *self.earlier) if one is not None)
        return [(one.record.spec["teacher"], one) for one in taught if one.record.spec.get("teacher")]

    @property
    def needs(self) -> str:
        """How to register a network from outside the project before loading it; empty for the project's networks."""
        code, name = self.spec.get("code", {}).get("network"), self.known.student
        info = catalog.networks().get(name)
        if not code or (info and not info.code):
            return ""
        # A file with other code defines another network.
        path = info.path if info and info.code == code else None
        if path and path.is_relative_to(catalog.ROOT / "models"):
            advice = f"copy {path.relative_to(catalog.ROOT).as_posix()}, which registers it, into the clone"
        else:
            file = f"{path.name}, which" if path else "the file that"
            advice = f"set {plugins.VARIABLE} to the path of {file} registers it, before Python starts"
        return f"{name} is not part of srrl-bench (SHA-256 of its code: {code}). To load it, {advice}"


def config(exported: Exported) -> str:
    """``config.json``: the arguments that ``models.load`` needs, the preparation of images, and the run."""
    known, recipe = exported.known, exported.recipe
    content = {
        "network": known.student,
        "num_classes": exported.num_classes,
        "in_size": recipe["in_size"],
        "width": recipe["width"],
        "preprocessing": {key: recipe[key] for key in _PREPROCESSING},
        "dataset": recipe["dataset"],
        "run": known.id,
        "method": known.method,
        "seed": exported.spec["seed"],
        "sha256": exported.sha256,
        **({"wrapping": exported.wrapping} if exported.wrapping else {}),
    }
    return json.dumps(content, indent=1) + "\n"


def card(exported: Exported, folder: str) -> str:
    """``README.md``: a model card with the front matter of Hugging Face.

    Args:
        exported: the network.
        folder: name of the folder of the card.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=False,  # noqa: S701 - Markdown, which has filters of its own
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"text": _text, "code": markdown.code}
    return environment.get_template("model_card.md.jinja").render(_facts(exported, folder))


def _text(text: str) -> str:
    """As `markdown.escape`, except for underscores within words, which need no escape and are frequent in names."""
    return re.sub(r"(?<=\w)\\_(?=\w)", "_", markdown.escape(text))


def _facts(exported: Exported, folder: str) -> dict[str, Any]:
    known, spec, recipe = exported.known, exported.spec, exported.recipe
    rows = ((key, values_text({key: value}).partition("=")[2]) for key, value in recipe.items() if key != "name")
    return {
        "front_matter": _front_matter(exported),
        "training": exported.training,
        "folder": repr(folder),
        "needs": exported.needs,
        "network": known.student,
        "id": short_id(known.id),
        "seed": spec["seed"],
        "why": exported.why,
        "note": exported.note,
        "last": known.record.metrics.last,
        "best": known.record.metrics.best,
        "measured_on": "training images that were held out" if recipe["holdout"] else "all test images",
        "num_classes": exported.num_classes,
        "preparation": _preparation(recipe),
        "objective": objective_text(spec["objective"]),
        "teacher": _teacher(exported),
        "stages": spec.get("stages", []),
        "recipe": recipe,
        "recipe_rows": list(rows),
        "provenance": list(_provenance(exported)),
        "citation": _bibtex(),
        "sources": list(_sources(spec)),
        **{key: recipe[key] for key in ("dataset", "precision", "in_size", "width", "top_k", "mean", "std")},
    }


def _front_matter(exported: Exported) -> str:
    known, dataset = exported.known, exported.recipe["dataset"]
    top1 = {"type": "accuracy", "value": known.record.metrics.last["top1"], "name": "top-1 accuracy, last epoch"}
    task = "image-classification"
    result = {"task": {"type": task}, "dataset": {"type": dataset, "name": dataset}, "metrics": [top1]}
    terms = sorted(exported.spec["objective"]["terms"])
    content = {
        "license": "mit",
        "library_name": "srrl-bench",
        "pipeline_tag": task,
        "tags": [task, *(["knowledge-distillation"] if terms else []), known.student, *terms],
        "datasets": [dataset],
        "metrics": ["accuracy"],
        "model-index": [{"name": f"{known.student}-{short_id(known.id)}", "results": [result]}],
    }
    return yaml.safe_dump(content, sort_keys=False)


def _teacher(exported: Exported) -> dict[str, Any] | None:
    named = exported.spec["teacher"]
    if not named:
        return None
    last = exported.teacher.record.metrics.last if exported.teacher else {}
    earlier = [teacher for teacher, _ in exported.lessons]
    return {**named, "weights": exported.known.record.provenance.teacher_weights, "last": last, "earlier": earlier}


def _preparation(recipe: Mapping[str, Any]) -> str:
    if recipe["crop"] == "resized":
        return (
            f"Before that, the shorter side of an image is resized to {recipe['resize']} pixels, and the centre of "
            f"{recipe['crop_size']} x {recipe['crop_size']} pixels is cropped."
        )
    size = (
        f"resized to {recipe['resize']} x {recipe['resize']} pixels" if recipe["resize"] else "in their original size"
    )
    return f"The images are those of the data set, {size}."


def _provenance(exported: Exported) -> Iterator[tuple[str, str]]:
    yield "run", exported.known.id
    yield "weights", f"SHA-256 {exported.sha256}"
    yield "record", f"{exported.profile}/records/{exported.known.place}.json"
    if data := exported.known.record.provenance.data:
        yield "data", data_text(data)
    yield from origin(exported.known.record).items()


def _bibtex() -> str:
    """The paper, from the project's citation file."""
    paper = yaml.safe_load(_CITATION.read_text(encoding="utf-8"))["references"][0]
    authors = " and ".join(f"{author['family-names']}, {author['given-names']}" for author in paper["authors"])
    return "\n".join(
        [
            f"@inproceedings{{{paper['authors'][0]['family-names'].lower()}{paper['year']},",
            f"  title = {{{paper['title']}}},",
            f"  author = {{{authors}}},",
            f"  booktitle = {{{paper['conference']['name']}}},",
            f"  year = {{{paper['year']}}}",
            "}",
        ]
    )


def _sources(spec: Mapping[str, Any]) -> Iterator[str]:
    for name in spec["objective"]["terms"]:
        info = catalog.methods().get(name)
        if info:
            yield f"{info.title}: {info.citation}"
