import ast

import pytest

from benchmark.errors import UserError
from benchmark.registry.source_hash import code_hash, code_of, parsed


def test_code_hash_sees_code_and_no_words():
    def code(text):
        return code_hash(ast.parse(text))

    plain = code("class A:\n    def f(x):\n        return x + 1")
    assert (
        code(
            '"""Words."""\nclass A:\n    """Words."""\n\n    def f(x):  # words\n        "Words."\n        return x + 1'
        )
        == plain
    )
    assert code("class A:\n    def f(x):\n        return x + 2") != plain


@pytest.mark.parametrize("content", [b"def f(:", b"\xff\xfe", b"a = 1\x00"])
def test_what_is_no_python_is_named(tmp_path, content):
    path = tmp_path / "some.py"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"some.py: this is no Python that can be read"):
        parsed(path)
    with pytest.raises(UserError, match=r"none.py: this is no Python that can be read"):
        parsed(tmp_path / "none.py")


IMPORTS = ["from pack import helper", "from pack.helper import f", "import pack.helper", "from .helper import f"]
IMPORTS += ["from . import helper", "from pack import sub", "from .sub.deep import g"]


@pytest.fixture
def package(tmp_path):
    """``package(name, text)`` writes a file; ``package.code()`` is the code of ``start``."""

    def write(name, text):
        path = tmp_path / "pack" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    for name in ("__init__", "sub/__init__", "helper", "other"):
        write(name, "x = 1\n")
    write("sub/__init__", "from ..helper import x\n")
    write("sub/deep", "from pack.helper import x\n")
    write.code = lambda *apart: code_of(
        tmp_path / "pack" / "start.py", "pack.start", {"pack": tmp_path / "pack"}, [tmp_path / each for each in apart]
    )
    return write


@pytest.mark.parametrize("line", IMPORTS)
def test_what_is_imported_from_the_package_counts(package, line):
    package("start", line)
    before = package.code()
    package("other", "x = 2\n")
    assert package.code() == before
    package("helper", "x = 2  # words\n")
    changed = package.code()
    assert changed != before
    package("helper", "x = 2\n")
    assert package.code() == changed


def test_what_is_apart_does_not_count_nor_what_it_imports(package):
    package("start", "from pack import helper\nfrom pack import sub")
    before = package.code("pack/sub/__init__.py", "pack/__init__.py")
    package("sub/__init__", "from pack import other")
    assert package.code("pack/sub/__init__.py", "pack/__init__.py") == before
    package("helper", "x = 2")
    assert package.code("pack/sub/__init__.py", "pack/__init__.py") != before


@pytest.mark.parametrize(
    "line", ["import near", "from near import x", "import pack.sub.deep", "from pack.sub import deep"]
)
def test_what_lies_beside_counts_where_it_is_asked_for(package, tmp_path, line):
    start, near = tmp_path / "start.py", tmp_path / "near.py"
    start.write_text(f"import os\n{line}\n")

    def codes():
        return code_of(start, "start", {}), code_of(start, "start", {}, beside=tmp_path)

    near.write_text("from pack.sub import deep\n")
    package("sub/deep", "x = 1")
    alone, beside = codes()
    package("sub/deep", "x = 2")
    assert codes()[0] == alone
    assert codes()[1] != beside


def test_files_that_import_each_other_end(package):
    package("start", "from pack import helper")
    package("helper", "from pack import start")
    before = package.code()
    package("helper", "from pack import start\nx = 2")
    assert package.code() != before


def test_a_file_moved_elsewhere_has_the_same_code(tmp_path):
    (tmp_path / "a.py").write_text("x = 1")
    (tmp_path / "b.py").write_text("x = 1")
    assert code_of(tmp_path / "a.py", "a", {}) == code_of(tmp_path / "b.py", "methods.b", {})
