from pathlib import Path

import pytest

from benchmark.errors import UserError
from benchmark.filenames import LONGEST, below, expanded, fitted, is_plain


@pytest.mark.parametrize("name", ["kd", "srrl[fm=1]+kd", "a" * LONGEST, "ä" * 127 + "a", ""])
def test_what_fits_stays_as_it_is(name):
    assert fitted(name) == name


@pytest.mark.parametrize("name", ["a" * 256, "ä" * 128, "漢" * 500, "a" * 250 + "漢" * 5, "\udcff" * 300])
@pytest.mark.parametrize("room", [0, 10, 11])
def test_what_is_too_long_in_bytes_keeps_its_beginning_and_can_be_written(name, room, tmp_path):
    short = fitted(name, room)
    begin, tilde, digest = short.rpartition("~")
    assert (tilde, len(digest)) == ("~", 12)
    assert name.startswith(begin)
    assert len(short.encode()) <= LONGEST - room
    assert len(begin) > 70 or "\udcff" in name  # of which no file can hold a part
    (tmp_path / f"{short}{'.' * room}").write_text("written")
    assert fitted(name, room) == short


def test_long_names_that_begin_alike_are_told_apart():
    names = {fitted("a" * 300 + end) for end in ("", "b", "c", "bc")}
    assert len(names) == 4


@pytest.mark.parametrize("place", ["../x", "a/../../x", "m[../../../x]/seed0", "/etc/passwd", "a/.."])
def test_no_path_leads_out_of_its_folder(place, tmp_path):
    with pytest.raises(UserError, match="leads out of"):
        below(tmp_path, place)


@pytest.mark.parametrize("place", ["C100/a--b/kd/seed0-0.json", "m[form=..]", "...x", "a..b"])
def test_other_paths_lie_below(place, tmp_path):
    assert below(tmp_path / ".." / "results", place) == tmp_path / ".." / "results" / place


@pytest.mark.parametrize("name", ["fm", "a-b", "v1.5", "_x", "2+2", "a" * 100])
def test_plain_names(name):
    assert is_plain(name)


@pytest.mark.parametrize("name", ["", "..", ".x", "-x", "a/b", "a b", "é", "a\n", "x[y]", "a=b", "a,b", "a" * 101, 3])
def test_names_that_are_not_plain(name):
    assert not is_plain(name)


def test_the_home_of_nobody_is_no_traceback(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    assert expanded("~/x.py") == Path("/somewhere/x.py")
    assert expanded(Path("~nobody-of-that-name/x.py")) == Path("~nobody-of-that-name/x.py")
