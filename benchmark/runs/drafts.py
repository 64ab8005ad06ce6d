"""Code and data that ids must cover: of settled networks and data sets the name is enough, of drafts it is not."""

from __future__ import annotations

from typing import Any

from benchmark import data
from benchmark.registry import catalog


def own_code_and_data(network: str, dataset: str) -> dict[str, Any]:
    """The parts of a spec that stand for the code of network and data set and for the data, beyond their names.

    For a settled network its revision above 1; for drafts and plug-ins their code and the content of the data; for a
    network of an installed package the package's version.
    """
    known = catalog.networks().get(network)
    codes = {"network": known.code if known else "", "dataset": data.code_of(dataset)}
    own: dict[str, Any] = {"code": {what: code for what, code in codes.items() if code}}
    if content := data.content_of(dataset):
        own["data"] = {"sha256": content, "decoding": data.DECODING}
    if known and known.revision > 1:
        own["network_revision"] = known.revision
    if known and known.package:
        own["network_package"] = known.package
    return {part: found for part, found in own.items() if found}
