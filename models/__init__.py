"""The networks of the paper's tables: ``create`` builds one by its registry name."""

from models.features import Features, Network, Shapes
from models.registry import Request, UnknownNetworkError, create, names, register

__all__ = ["Features", "Network", "Request", "Shapes", "UnknownNetworkError", "create", "names", "register"]
