"""The lock file pins what the project and its tests ask for, for any machine and package index."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LINES = [line for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines() if line[:1] != "#"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_lines_are_public_versions_without_an_index_or_a_local_build():
    assert [line for line in LINES if not re.match(r"[a-z0-9-]+==[0-9][0-9a-z.]*( ; .*)?$", line)] == []


@pytest.mark.parametrize("wanted", [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]])
def test_each_dependency_is_pinned_to_a_version_that_fits(wanted):
    wanted = Requirement(wanted)
    pinned = [Requirement(line) for line in LINES]
    (found,) = [pin for pin in pinned if canonicalize_name(pin.name) == canonicalize_name(wanted.name)]
    (version,) = (pin.version for pin in found.specifier)
    assert found.marker is None
    assert version in wanted.specifier
