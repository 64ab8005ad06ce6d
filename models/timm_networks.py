"""timm's networks, such as ``timm/convnext_atto``, with fresh weights; ``pip install timm`` makes them known.

Their sizes and initial weights are those of the installed timm, so its version is part of the ids of runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from models.features import Network
from models.registry import IMAGENET, Request, UnknownNetworkError, register
from models.wrap import wrap

_STAGES = 4
_STEMS = ("pos_drop", "stem", "patch_embed")
"""Names of the last submodule before the stages, where timm does not list it among the features."""
_AVERAGING = ("Mean", "AdaptiveAvgPool")
"""Beginnings of the names that autograd gives to global averages."""
_RESHAPING = ("View", "UnsafeView", "Reshape", "Squeeze", "Permute", "Transpose", "Clone", "Alias")
"""And to operations that keep the numbers."""


@register(pattern="timm/[A-Za-z0-9_.]+", images=IMAGENET)
def build(request: Request) -> Network:
    """Build one of timm's networks."""
    name = request.name.partition("/")[2]
    settings = _settings(name)
    request.check_width()
    module = _module(request, name, settings)
    listed = settings.get("classifier") or ()
    classifiers = [listed] if isinstance(listed, str) else [*listed]
    if len(classifiers) != 1:
        raise ValueError(f"{request.name} has {len(classifiers)} classifiers, a network here has one")
    with request.explained():
        last = averaged(module, request.in_size)
    network = wrap(
        module,
        feats(module),
        *classifiers,
        name=request.name,
        map=last,
        prefix_tokens=getattr(module, "num_prefix_tokens", None),
    )
    network.family = type(module).__module__.rpartition(".")[2]
    return network


def feats(module: nn.Module) -> tuple[str, ...]:
    """The stem and the stages of one of timm's networks, by what timm lists as its features.

    These are the last module of each resolution from half of the input's on. Where all features have one resolution,
    the stages are the last modules of each quarter.
    """
    listed: Sequence[Mapping[str, Any]] = getattr(module, "feature_info", None) or ()
    infos = [info for info in listed if info["reduction"] > 1]
    if not infos:
        return ()
    if len({info["reduction"] for info in infos}) == 1:
        infos = [infos[len(infos) * quarter // _STAGES - 1] for quarter in range(1, _STAGES + 1)]
    places = [str(info["module"]) for info in infos]
    children = dict(module.named_children())
    stem = next((place for place in _STEMS if place in children), None)
    return (stem, *places) if len(places) <= _STAGES and stem and stem not in places else tuple(places)


def averaged(module: nn.Module, in_size: int) -> str | None:
    """The submodule whose output is averaged over all positions to the classifier's input; None if there is none.

    The graph of a forward pass in evaluation mode leads from the classifier's input through one average to the output
    of that module.

    Args:
        module: of timm; its mode and statistics stay as they are.
        in_size: height and width of the input in pixels.
    """
    places: dict[Any, str] = {}
    handles = [
        part.register_forward_hook(partial(_note, places, place)) for place, part in module.named_modules() if place
    ]
    weight, training = next(module.parameters()), module.training
    module.eval()
    try:
        with torch.enable_grad():
            images = torch.zeros(1, 3, in_size, in_size, device=weight.device, dtype=weight.dtype)
            node = module.forward_head(module.forward_features(images), pre_logits=True).grad_fn  # type: ignore[operator]
    finally:
        module.train(training)
        for handle in handles:
            handle.remove()
    return places.get(_before_average(node))


def _before_average(node: Any) -> Any:
    """The node of autograd's graph whose result is averaged, and then only reshaped, to that of ``node``."""
    averages = 0
    while node is not None and node.name().startswith((*_AVERAGING, *_RESHAPING)):
        if averages and not node.name().startswith(_RESHAPING):
            return None
        averages += node.name().startswith(_AVERAGING)
        node = node.next_functions[0][0]
    return node if averages else None


def _note(places: dict[Any, str], place: str, _module: nn.Module, _inputs: Any, output: Any) -> None:
    """Forward hook: enter the name of the outermost module with this output."""
    if isinstance(output, Tensor) and output.grad_fn is not None:
        places[output.grad_fn] = place


def _settings(name: str) -> Mapping[str, Any]:
    """What timm says of a network.

    Raises:
        UnknownNetworkError: timm is not installed, or has no such network.
    """
    try:
        timm: Any = import_module("timm")
    except ModuleNotFoundError:
        raise UnknownNetworkError(f"network 'timm/{name}' needs the package timm: pip install timm") from None
    architecture, dot, tag = name.partition(".")
    if dot:
        raise UnknownNetworkError(f"timm/{name}: write timm/{architecture}, since .{tag} names weights, not a network")
    if not timm.is_model(name):
        near = get_close_matches(name, timm.list_models(), n=3, cutoff=0.4)
        hint = f": the nearest are {', '.join(f'timm/{each}' for each in near)}" if near else ""
        raise UnknownNetworkError(f"unknown network 'timm/{name}'{hint}")
    settings = timm.get_pretrained_cfg(name)
    return settings.to_dict() if settings else {}


def _module(request: Request, name: str, settings: Mapping[str, Any]) -> nn.Module:
    usual = settings.get("input_size", (3, request.in_size))[-1]
    options = {"img_size": request.in_size} if settings.get("fixed_input_size") and usual != request.in_size else {}
    with request.explained():
        module: nn.Module = import_module("timm").create_model(name, num_classes=request.num_classes, **options)
    return module
