"""What people write into YAML files."""

from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta, field

from benchmark import yaml_schema
from benchmark.errors import UserError
from benchmark.yaml_schema import Strict, Texts


class Note(Strict):
    paper: str
    elsewhere: str | None = None


class Best(Strict, tag_field="form", tag="best"):
    methods: Texts


class Second(Strict, tag_field="form", tag="second"):
    behind: str

    def __post_init__(self):
        if self.behind == "nobody":
            raise ValueError("'behind' must be somebody")


class Row(Strict):
    label: str
    role: Literal["student", "teacher"] | None = None
    paper: tuple[float | None, ...] = ()
    hidden: bool = False


class File(Strict):
    title: str
    rows: Annotated[tuple[Row, ...], Meta(min_length=1)]
    notes: tuple[str | Note, ...] = ()
    checks: tuple[Best | Second, ...] = ()
    match: dict[Literal["student", "method"], str] = field(default_factory=dict)
    about: Annotated[float, Meta(gt=0)] = 1.0
    teachers: dict[str, Note] = field(default_factory=dict)


START = "title: a\nrows:\n- label: b\n"


@pytest.fixture
def read(tmp_path):
    """The content of a file with this text."""

    def make(text, schema: Any = File):
        path = tmp_path / "file.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return yaml_schema.read(path, "the file").convert(schema)

    return make


def test_a_file_becomes_a_struct_with_single_spaces_in_its_texts(read):
    text = "title: >-\n  a  text\n\n  of lines\nrows: [{label: b, paper: [1, 2.5, ~]}]\nnotes: [c, {paper: 'd   e'}]\n"
    made = read(f"{text}checks: [{{form: second, behind: f}}]")
    assert (made.title, made.rows) == ("a text of lines", (Row(label="b", paper=(1, 2.5, None)),))
    assert (made.notes, made.checks) == (("c", Note(paper="d e")), (Second(behind="f"),))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "  papper: [1]",
            "line 4: rows[0].papper: unknown key 'papper': did you mean 'paper'? known are hidden, label",
        ),
        ("titel: c", "line 4: titel: unknown key 'titel': did you mean 'title'?"),
        ("- {papper: 1, label: c}", "line 4: rows[1].papper: unknown key 'papper': did you mean 'paper'?"),
        ("notes:\n- c\n- papr: d", "line 6: notes[1].papr: unknown key 'papr': did you mean 'paper'? known are elsewh"),
        ("checks:\n- form: best\n  behind: c", "line 6: checks[0].behind: unknown key 'behind': known are methods"),
        ("checks: [{form: bset}]", "line 4: checks[0].form: unknown value 'bset': did you mean 'best'?"),
        ("match:\n  studnet: a", "line 5: match.studnet: unknown key 'studnet': did you mean 'student'?"),
        ("teachers: {c: {papr: d}}", "line 4: teachers.papr: unknown key 'papr': did you mean 'paper'?"),
        ("  role: techer", "line 4: rows[0].role: unknown value 'techer': did you mean 'teacher'?"),
        ("- hidden: true", "line 4: rows[1]: it lacks 'label'"),
        ("checks: [{}]", "line 4: checks[0]: it lacks 'form'"),
        ("  paper:\n  - 1\n  - c", "line 6: rows[0].paper[1]: expected a number or null, not 'c'"),
        ("  paper: [true]", "line 4: rows[0].paper[0]: expected a number or null, not True"),
        ("  hidden: 1", "line 4: rows[0].hidden: expected true or false, not 1"),
        ("- 5", "line 4: rows[1]: expected a mapping (key: value), not 5"),
        ("notes: c", "line 4: notes: expected a list, not 'c'"),
        ("notes: [5]", "line 4: notes[0]: expected text or a mapping (key: value), not 5"),
        ("about: 0", "line 4: about: expected a number > 0.0, not 0"),
        ("match: {student: 5}", "line 4: match: expected text, not {'student': 5}"),
        ("7: c", "line 1: expected text, as key"),
        ("checks: [{form: best, methods: []}]", "line 4: checks[0].methods: expected a list of length >= 1, not []"),
        ("checks: [{form: second, behind: nobody}]", "line 4: checks[0]: 'behind' must be somebody"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_place(text, says, read):
    with pytest.raises(UserError) as caught:
        read(START + text)
    assert str(caught.value).startswith(f"the file, {says}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "place", "value"), [("", "", None), ("- a", ", line 1", ["a"]), ("a", ", line 1", "'a'")]
)
def test_a_file_that_is_no_mapping(text, place, value, read):
    with pytest.raises(UserError) as caught:
        read(text)
    assert str(caught.value) == f"the file{place}: expected a mapping (key: value), not {value}"


def test_long_values_are_cut(read):
    with pytest.raises(UserError) as caught:
        read(f"- {['word'] * 1000}")
    assert len(str(caught.value)) < 160


def test_what_a_reader_finds_has_line_and_place_too(tmp_path):
    path = tmp_path / "file.yaml"
    path.write_text(START)
    file = yaml_schema.read(path, "the file")
    for place, line, says in [
        (("rows", 0, "label"), 3, "rows[0].label: "),
        (("rows", 0, "paper"), 3, "rows[0].paper: "),
        (("rows", 5), 2, "rows[5]: "),
        ((), 1, ""),
    ]:
        with pytest.raises(UserError) as caught, file.at(*place):
            raise UserError("no")
        assert str(caught.value) == f"the file, line {line}: {says}no"


@pytest.mark.parametrize(
    "content",
    [
        *(b"a: [1", b"\xff", b"a: 2024-13-45", b"a: {[1]: 2}", b"a: !!timestamp x", b"a: .nan", b"a: [-.inf]"),
        *(b"a: " + b"[" * 3000, b"a: " + b"[" * 3000 + b"]" * 3000),
    ],
    ids=lambda content: content[:12],
)
def test_what_cannot_be_read_is_one_line(content, read):
    with pytest.raises(UserError, match=r"^the file: cannot be read \(") as caught:
        read(content)
    assert "\n" not in str(caught.value)


def test_a_file_that_does_not_exist_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match="here: cannot be read"):
        yaml_schema.read(tmp_path / "gone.yaml", "here")


@pytest.mark.parametrize("content", ["a: 1\na: 2", "a: {b: 1, 'b': 2}", "- {a: 1, b: 2, a: 1}"])
def test_a_duplicate_key_is_named_with_its_line(content, read):
    with pytest.raises(UserError, match=r"duplicate key '[ab]', line \d"):
        read(content)


def test_keys_that_differ_in_kind_are_two(tmp_path):
    path = tmp_path / "file.yaml"
    path.write_text("1: a\n'1': b\nx: &base {c: 1}\ny: {<<: *base, d: 2}")
    assert yaml_schema.read(path, "file").data == {1: "a", "1": "b", "x": {"c": 1}, "y": {"c": 1, "d": 2}}
