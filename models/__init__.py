"""The networks of the tables: ``create`` builds one by its registry name, ``load`` loads an exported one.

``wrap`` makes a network of any torch module, and ``rewrap`` builds around a network what a method has added to it.
"""

from models.export import ExportError, load
from models.features import Features, FullFeatures, MissingPartError, Network, Shapes
from models.registry import Images, Request, UnknownNetworkError, create, made_for, names, register
from models.wrap import wrap
from models.wrapping import rewrap

__all__ = [
    "ExportError",
    "Features",
    "FullFeatures",
    "Images",
    "MissingPartError",
    "Network",
    "Request",
    "Shapes",
    "UnknownNetworkError",
    "create",
    "load",
    "made_for",
    "names",
    "register",
    "rewrap",
    "wrap",
]
