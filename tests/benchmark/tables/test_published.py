"""What others have published, line by line."""

import pytest

from benchmark.errors import UserError
from benchmark.registry import catalog
from benchmark.runs.names import parse_method
from benchmark.tables import published

HEAD = "suite,teacher,student,method,printed,top1,std,selection,source,year"
LINE = "cifar100-crd,vgg13,vgg8,kd,KD,72.98,,last,a README,2020"


@pytest.fixture(scope="module")
def numbers():
    return published.load()


@pytest.fixture
def written(tmp_path):
    """``written(line, ...)`` loads a file of these lines below the head."""

    def load(*lines, head=HEAD):
        path = tmp_path / "published.csv"
        path.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
        return published.load(path)

    return load


def test_every_method_spelled_in_the_file_is_one_of_the_project(numbers):
    spelled = {number.method for number in numbers} - {""}
    for method in sorted(spelled):
        parse_method(method)
    assert {*map(str, published.by_method(numbers))} == {str(parse_method(method)) for method in spelled}


def test_a_printed_name_is_one_method(numbers):
    assert len({number.printed for number in numbers}) == len({(number.printed, number.method) for number in numbers})


def test_networks_are_those_of_the_project_but_for_named_exceptions(numbers):
    strangers = {
        (number.suite, name)
        for number in numbers
        for name in (number.teacher, number.student)
        if name not in catalog.networks()
    }
    assert strangers == {
        ("cifar100-simkd", "shufflenetv2-1.5"),
        ("tiny-imagenet", "resnet18"),
        ("tiny-imagenet", "mobilenetv2"),
    }


def test_numbers_are_those_that_were_printed(numbers):
    assert len(numbers) == 691
    assert {number.suite for number in numbers} == {*published.SUITES}
    found = {(one.pair, one.printed, one.selection, one.source): one.top1 for one in numbers}
    assert found["resnet56:resnet20", "KD", "last", "RepDistiller README b84f547"] == 70.66
    assert found["resnet32x4:resnet8x4", "DKD", "best", "mdistiller README a08d46f"] == 76.32


def test_sources_say_where_a_number_stands_or_that_it_is_not_verified(numbers):
    words = ("README", "log", "scripts", "official", "issue", "cls_KD", "secondary source")
    assert [number.source for number in numbers if not any(word in number.source for word in words)] == []


def test_methods_that_the_project_lacks_are_left_out(written):
    numbers = written(LINE, LINE.replace("kd,KD", ",KD++"), LINE.replace("kd,KD", "nothing,Nothing"))
    assert {str(method): len(group) for method, group in published.by_method(numbers).items()} == {"kd": 1}


def test_spellings_of_one_method_are_one(written):
    numbers = written(LINE.replace("kd,KD", "srrl+kd,A"), LINE.replace("kd,KD", "kd+srrl,B"))
    assert {str(method): len(group) for method, group in published.by_method(numbers).items()} == {"kd+srrl": 2}


def test_what_may_be_empty_is_none(written):
    [number] = written(LINE.replace("2020", ""))
    assert (number.std, number.year, number.pair) == (None, None, "vgg13:vgg8")


def test_the_best_epoch_is_compared_with_the_last_within_a_log(written):
    lines = [
        LINE.replace("72.98,,last,a README", f"{top1},,{epoch},{log}").replace("kd,KD", method)
        for method, log, epoch, top1 in (
            ("kd,KD", "log 1", "last", 70.0),
            ("kd,KD", "log 1", "best", 70.5),
            ("kd,KD", "log 2", "last", 70.0),
            ("kd,KD", "log 2", "best", 70.25),
            ("dkd,DKD", "log 1", "last", 71.0),
            ("dkd,DKD", "log 1", "best", 72.0),
            ("dkd,DKD", "log 2", "best", 99.0),
        )
    ]
    assert published.overstatement(written(*lines)) == (3, (0.375, 1.0), 1.0)
    assert published.overstatement(written(LINE)) is None


def test_the_public_logs_of_the_file_state_both_epochs(numbers):
    found = published.overstatement(numbers)
    assert found.logs == 58
    assert found.means == pytest.approx((0.28, 0.38), abs=0.005)
    assert found.largest == pytest.approx(0.92)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (LINE.replace("72.98", "much"), "line 3: top1: expected a number"),
        (LINE.replace("72.98", "720"), "line 3: top1: expected a number <= 100"),
        (LINE.replace("72.98", ""), "line 3: top1: it is empty"),
        (LINE.replace("last", "first"), "line 3: selection: .*'first'"),
        (LINE.replace("-crd", "-crt"), "line 3: unknown suite 'cifar100-crt': did you mean 'cifar100-crd'"),
        (LINE.replace("2020", "20"), "line 3: year: expected a whole number >= 1990"),
        (LINE.replace("a README", ""), "line 3: source: it is empty"),
        (f"{LINE},more", "line 3: it must have 10 values"),
        ("cifar100-crd,vgg13", "line 3: it must have 10 values"),
        (LINE, "line 3: it repeats line 2"),
    ],
)
def test_a_faulty_line_is_named(line, says, written):
    with pytest.raises(UserError, match=f"^published.csv, {says}") as caught:
        written(LINE, line)
    assert "\n" not in str(caught.value)


def test_other_columns_and_a_missing_file_are_one_line(written, tmp_path):
    with pytest.raises(UserError, match="line 1: the columns must be method, printed, selection"):
        written(LINE, head=HEAD.replace("std", "sd"))
    with pytest.raises(UserError, match=r"gone\.csv: cannot be read"):
        published.load(tmp_path / "gone.csv")
