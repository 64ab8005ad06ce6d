"""Makes a network of any torch module: hooks collect the features during a forward pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import isqrt
from re import escape
from typing import Any, Self, SupportsIndex

from torch import Tensor, nn

from models.features import Features, MissingPartError, Network, Shapes

LAST = ""
"""Stands for the last feat in the argument ``map`` of `wrap`."""


class NoMaps(tuple[Any, ...]):  # noqa: SLOT001 - a tuple cannot have slots
    """An empty sequence of maps; to ask for one of them raises MissingPartError.

    Attributes:
        network: name of the network.
    """

    network: str

    def __new__(cls, network: str) -> Self:
        """The maps of a network without feats."""
        maps = super().__new__(cls)
        maps.network = network
        return maps

    def __getnewargs__(self) -> tuple[str]:
        """The argument with which a copy is made."""
        return (self.network,)

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        raise MissingPartError(self.network, "maps of stages", "it was wrapped without feats")


class Wrapped(Network):
    """A torch module as a network; `wrap` describes the arguments.

    The module is the submodule ``wrapped``, with an identity in the place of its classifier, which is the submodule
    ``classifier``. A forward pass registers its hooks, collects their outputs and removes the hooks, so that nothing is
    kept between passes. Published weights may have the names of the module's own state dict.
    """

    def __init__(
        self,
        module: nn.Module,
        feats: Sequence[str],
        classifier: str,
        *,
        name: str,
        map: str | None,  # noqa: A002 - as in Features
        preacts: Sequence[str],
        prefix_tokens: int | None,
    ) -> None:
        super().__init__()
        self.name = self.family = name
        self.wrapped = module
        self.classifier = _take_classifier(module, classifier, name)
        self.num_classes, self.width = self.classifier.out_features, 1.0
        self._place = classifier
        self._feats, self._preacts = tuple(feats), tuple(preacts)
        self._map = self._feats[-1] if map == LAST and feats else map or None
        self._prefix_tokens = prefix_tokens
        for place in self._hooked():
            _submodule(module, place, name)
        _compute_out_of_place(module)
        own = rf"^{escape(classifier)}\.(weight|bias)$"
        self.published_names = (  # type: ignore[misc]  # they depend on the module
            (own, r"classifier.\1"),
            (r"^(?!wrapped\.|classifier\.(weight|bias)$)", "wrapped."),
        )

    def forward(self, images: Tensor) -> Features:
        """Run ``(B, 3, S, S)`` images through the network.

        Raises:
            ValueError: the module does not end with its classifier, or an output that was asked for is not to be had.
        """
        outputs, embedding = self._run(images)
        maps = self._as_maps(outputs)
        logits = self.classifier(embedding)
        last = None if self._map is None else maps[self._map]
        if last is None or last.shape[1] != embedding.shape[1]:
            last = embedding[:, :, None, None]
        if not self._feats:
            return Features(logits, embedding, last, NoMaps(self.name), NoMaps(self.name))
        feats = tuple(maps[place] for place in self._feats)
        return Features(logits, embedding, last, feats, tuple(maps[place] for place in self._preacts))

    def shapes(self) -> Shapes:
        """Shapes of this network's features; methods that ask for feats of a network without any do not apply to it."""
        shapes = super().shapes()
        return shapes if self._feats else replace(shapes, feats=NoMaps(self.name))

    def _hooked(self) -> list[str]:
        """Names of the modules whose outputs are collected, each once."""
        return list(dict.fromkeys((*self._feats, *self._preacts, *filter(None, [self._map]))))

    def _run(self, images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """The outputs of the hooked modules by name, and the classifier's input ``(B, C)``."""
        seen: dict[str, tuple[Any, int]] = {}
        places = [*self._hooked(), self._place]
        modules = {place: self.wrapped.get_submodule(place) for place in places}
        handles = [module.register_forward_hook(partial(_keep, seen, place)) for place, module in modules.items()]
        try:
            output = self.wrapped(images)
        finally:
            for handle in handles:
                handle.remove()
        if self._place not in seen or output is not seen[self._place][0]:
            raise ValueError(f"{self.name}: its forward does not return the output of '{self._place}' as it is")
        if not isinstance(output, Tensor) or output.ndim != 2:
            raise ValueError(f"{self.name}: '{self._place}' does not take one vector of each image")
        return {place: self._checked(place, seen) for place in self._hooked()}, output

    def _checked(self, place: str, seen: Mapping[str, tuple[Any, int]]) -> Tensor:
        """The output of a module, which must be a tensor that nothing has overwritten."""
        output, version = seen.get(place, (None, 0))
        if isinstance(output, Tensor) and _version(output) == version:
            return output
        fault = "is not called" if place not in seen else f"returns a {type(output).__name__}, not a tensor"
        if isinstance(output, Tensor):
            fault = "returns a tensor that is overwritten in place"
        raise ValueError(f"{self.name}: '{place}' {fault}: name another submodule")

    def _as_maps(self, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Outputs as maps ``(B, C, H, W)``, by the rule of `wrap`."""
        channels_last = any(output.ndim == 4 and _ends_in_channels(output) for output in outputs.values())
        return {place: self._as_map(place, output, channels_last) for place, output in outputs.items()}

    def _as_map(self, place: str, output: Tensor, channels_last: bool) -> Tensor:  # noqa: FBT001
        if output.ndim == 2:
            return output[:, :, None, None]
        if output.ndim == 3:
            return self._token_map(place, output)
        if output.ndim != 4:
            raise ValueError(f"{self.name}: the output of '{place}' has {output.ndim} axes: name another submodule")
        alike = output.shape[1] == output.shape[2] == output.shape[3]
        return output.permute(0, 3, 1, 2) if _ends_in_channels(output) or (alike and channels_last) else output

    def _token_map(self, place: str, tokens: Tensor) -> Tensor:
        """The map ``(B, D, h, h)`` of the last tokens of ``(B, N, D)``."""
        count, prefix = tokens.shape[1], self._prefix_tokens
        counts = (isqrt(count) ** 2,) if prefix is None else (count - prefix, count)
        side = next((isqrt(each) for each in counts if each > 0 and isqrt(each) ** 2 == each), None)
        if side is None:
            raise ValueError(f"{self.name}: of the {count} tokens of '{place}', no square follows {prefix}")
        return tokens[:, count - side**2 :].transpose(1, 2).reshape(len(tokens), -1, side, side)


def wrap(
    module: nn.Module,
    feats: Sequence[str] = (),
    classifier: str = "fc",
    *,
    name: str = "",
    map: str | None = LAST,  # noqa: A002 - as in Features
    preacts: Sequence[str] | None = None,
    prefix_tokens: int | None = None,
    in_size: int = 224,
) -> Wrapped:
    """Make a network of a torch module whose output ``(B, K)`` is that of its classifier, a Linear layer.

    The classifier's input is the embedding. Outputs of submodules become maps ``(B, C, H, W)`` as follows:

    * ``(B, C, H, W)`` stays. ``(B, H, W, C)`` is permuted; it is told from its height, which equals its width and not
      its channels. Where all three are equal, the other outputs of the network decide.
    * Tokens ``(B, N, D)`` become ``(B, D, h, h)``, with ``h`` the largest integer for which ``h * h`` is at most ``N``.
      The last ``h * h`` tokens are taken, which leaves out class and register tokens before them. With
      ``prefix_tokens`` that many are left out if a square remains, or none where all tokens are a square.
    * ``(B, C)`` becomes ``(B, C, 1, 1)``.

    Of a submodule that is called several times the last output counts. Methods that compare maps of stages do not apply
    to a network without ``feats``, and those that need ``trunk()``, ``preact_norms()`` or ``resume()`` to no wrapped
    network. Activations compute out of place from now on, since they would overwrite what hooks have collected.

    Args:
        module: taken over: its classifier moves into the network, and an identity takes its place.
        feats: names of the submodules whose outputs are the stem and the stages, as in ``module.named_modules()``.
        classifier: name of the final Linear layer.
        name: of the network; `models.create` sets it to the registry name.
        map: name of the submodule whose output is averaged to the embedding; by default the last of ``feats``. None, or
            a map of other channels than the embedding's, stands for the embedding as a map of one position: use it
            where the classifier takes a class token, or where layers follow the average.
        preacts: names of the submodules whose outputs are the feats before their activation; by default the feats.
        prefix_tokens: number of class and register tokens before those of the map; by default what ``N`` leaves.
        in_size: height and width of the input in pixels; `models.create` sets it.

    Raises:
        TypeError: the module is none, or a text stands where a list of names is expected.
        ValueError: there is no such submodule, the classifier is no Linear layer, there are not as many preacts as
            feats, or a number of tokens is below 0.
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"a torch module can be wrapped, not {module!r}")
    if isinstance(feats, str) or isinstance(preacts, str):
        raise TypeError("feats and preacts are lists of names, as feats=['layer1', 'layer2']")
    name = name or type(module).__name__.lower()
    befores = tuple(feats if preacts is None else preacts)
    if len(befores) != len(feats):
        raise ValueError(f"{name}: there are {len(befores)} preacts of {len(feats)} feats")
    if prefix_tokens is not None and prefix_tokens < 0:
        raise ValueError(f"{name}: prefix_tokens must be at least 0, not {prefix_tokens}")
    network = Wrapped(module, feats, classifier, name=name, map=map, preacts=befores, prefix_tokens=prefix_tokens)
    network.in_size = in_size
    return network


def _take_classifier(module: nn.Module, place: str, network: str) -> nn.Linear:
    """Put an identity in the place of the classifier and return the classifier."""
    classifier = _submodule(module, place, network)
    if not isinstance(classifier, nn.Linear) or classifier is module:
        raise ValueError(f"{network}: '{place}' is a {type(classifier).__name__}, not its final Linear layer")
    parent, _, last = place.rpartition(".")
    setattr(module.get_submodule(parent), last, nn.Identity())
    return classifier


def _submodule(module: nn.Module, place: str, network: str) -> nn.Module:
    try:
        return module.get_submodule(place)
    except AttributeError:
        known = ", ".join(name for name, _ in module.named_children())
        raise ValueError(f"{network} has no submodule '{place}': at the top it has {known}") from None


def _compute_out_of_place(module: nn.Module) -> None:
    for part in module.modules():
        if getattr(part, "inplace", False) is True:
            part.inplace = False  # type: ignore[assignment]


def _keep(seen: dict[str, tuple[Any, int]], place: str, _module: nn.Module, _inputs: Any, output: Any) -> None:
    """Forward hook: keep an output and the number of writes into it."""
    seen[place] = output, _version(output) if isinstance(output, Tensor) else 0


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version  # noqa: SLF001 - torch's count of writes has no other name


def _ends_in_channels(output: Tensor) -> bool:
    """Whether ``(B, a, b, c)`` is plainly ``(B, H, W, C)``."""
    return output.shape[1] == output.shape[2] != output.shape[3]
