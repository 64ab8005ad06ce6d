"""The networks of the paper's tables: ``create`` builds one by its registry name."""

from models.features import Features, FullFeatures, Network, Shapes
from models.registry import Images, Request, UnknownNetworkError, create, made_for, names, register

__all__ = [
    "Features",
    "FullFeatures",
    "Images",
    "Network",
    "Request",
    "Shapes",
    "UnknownNetworkError",
    "create",
    "made_for",
    "names",
    "register",
]
