"""The tables of the paper as data, read from ``tables/*.yaml``."""
