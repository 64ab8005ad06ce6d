"""Pairs and methods of a table by the names and wildcards that people type."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from benchmark.errors import UserError
from benchmark.runs.names import STUDENT, TEACHER, MethodName, PairName, parse_method, parse_pair

_WILDCARDS = "*?"


def chains(texts: Iterable[str]) -> list[PairName]:
    """The chains of teachers among some names and patterns of pairs, each once.

    Raises:
        UserError: a chain cannot be read.
    """
    return list(dict.fromkeys(parse_pair(text) for text in texts if ">" in text and not _has_wildcard(text)))


def matching_pairs(patterns: Sequence[str], known: Sequence[PairName]) -> set[PairName]:
    """The known pairs that patterns stand for.

    Raises:
        UserError: a pattern stands for none.
    """
    found: set[PairName] = set()
    for pattern in patterns:
        # Spaces around the separators mean nothing, as in `parse_pair`; names have none.
        text = next(iter(chains([pattern])), pattern.replace(" ", ""))
        fitting = {pair for pair in known if _fits(pair, text)}
        if not fitting:
            raise UserError(f"no pair of this table matches '{pattern}' (TEACHER:STUDENT): it has {', '.join(known)}")
        found |= fitting
    return found


def wanted_methods(patterns: Sequence[str], known: Sequence[MethodName]) -> set[MethodName]:
    """The methods that a selection shows: those that patterns stand for, and the teacher of a distilled student.

    Raises:
        UserError: a name is unknown, or the patterns stand for none.
    """
    wanted = set(named_methods(patterns, known))
    if not wanted.intersection(known):
        raise _no_method(TEACHER, known)
    return wanted if wanted <= {STUDENT, TEACHER} else {*wanted, TEACHER}


def named_methods(patterns: Sequence[str], known: Sequence[MethodName]) -> list[MethodName]:
    """The methods that names and wildcards stand for, each once; a name may be one that is not known yet.

    Raises:
        UserError: a name is unknown, or a wildcard stands for none.
    """
    return list(dict.fromkeys(name for pattern in patterns for name in _matching_methods(pattern, known)))


def _matching_methods(pattern: str, known: Sequence[MethodName]) -> list[MethodName]:
    if not _has_wildcard(pattern):
        return [TEACHER if pattern == TEACHER else parse_method(pattern)]
    found = [name for name in known if _fits(name, pattern)]
    if not found:
        raise _no_method(pattern, known)
    return found


def _has_wildcard(text: str) -> bool:
    return any(letter in text for letter in _WILDCARDS)


def _fits(name: str, pattern: str) -> bool:
    """Whether a name matches a pattern; brackets hold options and are no wildcards."""
    return fnmatchcase(name, pattern.replace("[", "[[]"))


def _no_method(pattern: str, known: Sequence[str]) -> UserError:
    return UserError(f"no method of this table matches '{pattern}': it has {', '.join(known)}")
