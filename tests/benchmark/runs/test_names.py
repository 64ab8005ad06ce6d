import pickle

import pytest
from msgspec.structs import replace

from benchmark.errors import UserError
from benchmark.registry import catalog
from benchmark.runs.names import TEACHER, CellKey, PairName, parse_method, parse_pair


@pytest.mark.parametrize(
    "name",
    [
        "student",
        "kd",
        "kd[temperature=2]",
        "kd+srrl[sr]",
        "srrl[fm=0.5,layers=conv2+last]",
        "srrl[tuned]",
    ],
)
def test_canonical_names_read_back(name):
    assert parse_method(name) == name


@pytest.mark.parametrize(
    ("name", "title"),
    [("student", "Student"), ("kd", "KD"), ("srrl[sr]+kd", "KD+SRRL[sr]"), ("srrl[ tuned ]", "SRRL[tuned]")],
)
def test_titles_are_the_methods_own(name, title):
    assert parse_method(name).label == title


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("srll", "unknown method 'srll': did you mean 'srrl'?"),
        ("kd[temprature=2]", "unknown option of kd 'temprature': did you mean 'temperature'?"),
        ("srrl[sl]", "unknown variant of srrl 'sl': did you mean 'sr'?"),
        ("kd[temperature=hot]", "temperature of kd must be of type float like 4.0, not 'hot'"),
        ("kd[temperature=NaN]", "must be of type float"),
        ("kd[temperature=[1]]", "cannot read method"),
        ("simkd[factor=1e30]", "factor of simkd must be of type int like 2, not 1e+30"),
        ("at[last=1.5]", "last of at must be of type int like 0, not 1.5"),
        ("srrl[form=l3]", "unknown form of srrl 'l3': did you mean 'l2'?"),
        ("srrl[form=a/b]", "it becomes part of a folder's name, where only letters, digits"),
        ("kd[temperature=2,temperature=3]", "gives kd's option temperature twice"),
        ("srrl[sr,fm=0.5]", "gives srrl's option fm twice"),
        ("kd+kd[temperature=2]", "names a term twice"),
        ("kd+student", "student is cross-entropy alone"),
        ("student[x=1]", "student is cross-entropy alone"),
        ("kd[tuned]", "kd declares no candidates to choose among"),
        ("srrl[tuned,fm=2]", "unknown variant of srrl 'tuned'"),
        *((text, "cannot read method") for text in ("", "kd+", "+kd", "kd[", "kd]", "kd[temperature=2", "kd[x]y")),
    ],
)
def test_a_wrong_name_is_one_line(name, says):
    with pytest.raises(UserError) as caught:
        parse_method(name)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_tuned_method_stands_for_its_candidates():
    trials = parse_method("kd[temperature=2]+srrl[tuned]").trials
    declared = catalog.method("srrl").candidates
    assert len(trials) == len(declared) > 1
    for trial, candidate in zip(trials, declared, strict=True):
        assert trial.tuned is None
        assert dict(trial.terms) == {"kd": {"temperature": 2.0}, "srrl": candidate}
        assert parse_method(trial) == trial
    assert parse_method("srrl").trials == ()


def test_one_term_at_a_time_is_tuned(monkeypatch):
    info = replace(catalog.method("kd"), candidates=({"temperature": 2},))
    monkeypatch.setitem(catalog.methods(), "kd", info)
    with pytest.raises(UserError, match="one term at a time can be tuned"):
        parse_method("kd[tuned]+srrl[tuned]")


def test_a_wrong_candidate_is_an_error(monkeypatch):
    info = replace(catalog.method("kd"), candidates=({"temperature": "hot"},))
    monkeypatch.setitem(catalog.methods(), "kd", info)
    with pytest.raises(UserError, match="temperature of kd must be of type float"):
        assert parse_method("kd[tuned]").trials


KEY = CellKey("table06", PairName("wrn-40-4", "wrn-16-2"), parse_method("srrl[sr]+kd"), "top1", "PROBE-STL10")


CHAIN = "resnet110>resnet56[kd[temperature=2]]>resnet32[kd+srrl[sr]]:resnet20"


@pytest.mark.parametrize(
    "name", [KEY, KEY.pair, parse_pair(CHAIN), KEY.method, parse_method("srrl[tuned]"), TEACHER], ids=str
)
def test_names_go_to_other_processes_with_their_parts(name):
    copy = pickle.loads(pickle.dumps(name))
    assert type(copy) is type(name)
    assert (copy, copy.__reduce__()) == (name, name.__reduce__())


def test_a_cell_is_called_by_its_parts():
    assert KEY == "table06/wrn-40-4:wrn-16-2/kd+srrl[sr]/PROBE-STL10/top1"


def test_a_pair_reads_back():
    assert (parse_pair(KEY.pair), KEY.pair.folder) == (KEY.pair, "wrn-40-4--wrn-16-2")
    assert (KEY.pair.teacher, KEY.pair.teacher_network, KEY.pair.lessons) == ("wrn-40-4", "wrn-40-4", ())


def test_a_chain_reads_back_with_its_parts():
    pair = parse_pair(CHAIN)
    assert (pair, pair.teacher, pair.student) == (CHAIN, CHAIN.removesuffix(":resnet20"), "resnet20")
    assert [(link.network, link.method) for link in pair.teachers] == [
        ("resnet110", "student"),
        ("resnet56", "kd[temperature=2]"),
        ("resnet32", "kd+srrl[sr]"),
    ]
    assert pair.teachers[1].method.terms == (("kd", {"temperature": 2.0}),)
    assert pair.lessons == (("resnet110", "kd[temperature=2]", "resnet56"), ("resnet56", "kd+srrl[sr]", "resnet32"))
    assert (pair.teacher_network, pair.folder) == ("resnet32", "resnet32--resnet20")


@pytest.mark.parametrize(
    "text",
    [
        " resnet56 > resnet32[ srrl[fm=0] + kd ] : resnet20 ",
        "resnet56>resnet32 [kd+srrl[sr]]:resnet20",
        "resnet56>resnet32[srrl[sr]+kd]:resnet20",
    ],
)
def test_other_spellings_of_a_chain(text):
    assert parse_pair(text) == "resnet56>resnet32[kd+srrl[sr]]:resnet20"
    assert parse_pair(" resnet56 : resnet20") == "resnet56:resnet20"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("resnt56>resnet32[kd]:resnet20", "unknown network 'resnt56': did you mean 'resnet56'?"),
        ("resnet56>resnt32[kd]:resnet20", "unknown network 'resnt32': did you mean 'resnet32'?"),
        ("vgg13>resnet32[kd]:vg8", "unknown network 'vg8': did you mean 'vgg8'?"),
        ("vgg13:vg8", "unknown network 'vg8': did you mean 'vgg8'?"),
        ("resnet56>resnet32[kdd]:resnet20", "unknown method 'kdd': did you mean 'kd'?"),
        ("resnet56>resnet32[kd[t=2]]:resnet20", "unknown option of kd 't'"),
        ("resnet56>resnet32:resnet20", "say which method trains resnet32, as in resnet32[kd]"),
        ("resnet56>resnet32[kd:resnet20", "say which method trains resnet32, as in resnet32[kd]"),
        ("resnet56>resnet32[]:resnet20", "say which method trains resnet32, as in resnet32[kd]"),
        (f"resnet56{'>resnet32[kd]' * 16}:resnet20", "a chain has at most 16 teachers, not 17"),
        ("resnet56>resnet32[student]:resnet20", "name one distillation method that trains resnet32 in the place of"),
        ("resnet56>resnet32[srrl[tuned]]:resnet20", "that trains resnet32 in the place of 'srrl[tuned]'"),
        ("resnet56[kd]>resnet32[kd]:resnet20", "the first teacher of a chain is trained alone: write resnet56 without"),
        ("resnet56>>resnet32[kd]:resnet20", "is no pair: write TEACHER:STUDENT or TEACHER>ASSISTANT[METHOD]:STUDENT"),
        (">resnet32[kd]:resnet20", "is no pair"),
        ("resnet56>resnet32[kd]", "is no pair"),
        ("resnet56>resnet32[kd]:", "is no pair"),
    ],
)
def test_a_wrong_chain_is_one_line(text, says):
    with pytest.raises(UserError) as caught:
        parse_pair(text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", ":", "wrn-40-4", "wrn-40-4:", ":wrn-16-2"])
def test_what_is_no_pair_is_refused(text):
    with pytest.raises(UserError, match="is no pair: write TEACHER:STUDENT"):
        parse_pair(text)
