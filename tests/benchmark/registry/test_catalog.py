import dataclasses

import pytest

from benchmark.errors import UserError
from benchmark.registry import catalog
from benchmark.registry.source_hash import code_of
from tests.benchmark.registry.conftest import METHOD


def test_code_of_settled_methods_and_networks_is_no_part_of_their_ids():
    assert all(info.revision > 0 or info.code for info in catalog.methods().values())
    assert not any(info.code for info in catalog.methods().values() if info.revision)
    assert catalog.networks()["wrn-16-2"].code == ""


def test_the_code_of_a_draft_and_of_its_helpers_is_part_of_its_ids(write, project):
    draft = METHOD.replace('"unpublished"', '"unpublished"; revision = 0')
    for name, text in (("settled", METHOD), ("alone", draft), ("helped", "from . import helper\n" + draft)):
        write(f"{name}.py", text, "methods")
    write("helper.py", "x = 1", "methods")
    codes = {name: info.code for name, info in catalog.methods().items()}
    assert codes["settled"] == ""
    assert codes["alone"] == code_of(project / "methods/alone.py", "methods.alone", {})
    assert len(codes["helped"]) == 64
    assert codes["helped"] != code_of(project / "methods/helped.py", "methods.helped", {})


def test_unknown_method_names_student_too():
    with pytest.raises(UserError, match=r"did you mean 'student'.*known are ab, at, .*student"):
        catalog.method("studnet")


@pytest.mark.parametrize(
    ("teacher", "student", "expected"),
    [
        ("wrn-40-2", "wrn-16-2", True),
        ("wrn-40-2", "wrn-40-1", False),
        ("resnet32x4", "resnet8x4", True),
        ("vgg13", "vgg8", True),
        ("vgg13", "mobilenetv2-half", False),
        ("wrn-40-2", "shufflenetv1", False),
    ],
)
def test_equal_channels_are_needed_only_by_who_asks_for_them(teacher, student, expected):
    networks = catalog.networks()[student], catalog.networks()[teacher]
    assert catalog.applies(catalog.method("fsp"), *networks) is expected
    assert catalog.applies(catalog.method("kd"), *networks)


def test_taps_are_paired_from_the_stem_on():
    fsp, three = catalog.method("fsp"), catalog.networks()["resnet20"]
    four = dataclasses.replace(three, feats="16x8x8 16x8x8 32x4x4 64x2x2 128x1x1")
    other_stem = dataclasses.replace(three, feats=three.feats.replace("16x", "24x", 1))
    assert catalog.applies(fsp, three, four)
    assert catalog.applies(fsp, four, three)
    assert not catalog.applies(fsp, other_stem, three)
