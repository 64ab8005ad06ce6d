"""Files that hold weights, whatever their names, and files that are something else, named in one line."""

import io
import json
import tarfile
from copy import copy
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_LZMA, ZIP_STORED, ZipFile

import pytest
import torch
from safetensors.torch import save as safetensors

from models.safe_load import PublishedError, safe_load

STATE = {"weight": torch.arange(3.0), "more": torch.zeros(1000)}


def saved(content=STATE, **options):
    """The bytes of a file of ``torch.save``."""
    file = io.BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


FORMATS = {
    "zip": saved,
    "legacy": lambda: saved(_use_new_zipfile_serialization=False),
    "safetensors": lambda: safetensors(STATE),
}


@pytest.fixture
def refused(tmp_path, monkeypatch):
    """Writes a file and gives the end of the line by which it is refused, before torch unpacks anything of it."""

    def make(content, name="teacher.pth"):
        path = tmp_path / name
        path.write_bytes(content)
        monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("torch was to read it"))
        with pytest.raises(PublishedError) as caught:
            safe_load(path)
        start, end = f"{path} ", str(caught.value)
        assert end.startswith(start)
        assert "\n" not in end
        return end.removeprefix(start)

    return make


@pytest.mark.parametrize("name", ["latest", "best.pth.tar", "teacher.zip", "teacher.safetensors", "page.html"])
@pytest.mark.parametrize("form", FORMATS)
def test_the_content_decides_and_not_the_name(form, name, tmp_path):
    path = tmp_path / name
    path.write_bytes(FORMATS[form]())
    read = safe_load(path)
    assert all(torch.equal(read[key], tensor) for key, tensor in STATE.items())


def archived(mode):
    file, content = io.BytesIO(), saved()
    with tarfile.open(fileobj=file, mode=f"w:{mode}") as archive:
        about = tarfile.TarInfo("models/resnet56_vanilla/ckpt_epoch_240.pth")
        about.size = len(content)
        archive.addfile(about, io.BytesIO(content))
    return file.getvalue()


def zipped(method=ZIP_STORED):
    file = io.BytesIO()
    with ZipFile(file, "w", method) as archive:
        archive.writestr("models/resnet56_vanilla/ckpt_epoch_240.pth", saved())
        archive.writestr("data.pkl/readme", "no pickle of torch's")
    return file.getvalue()


ARCHIVES = {
    "tar": lambda: archived(""),
    "gzip": lambda: archived("gz"),
    "bzip2": lambda: archived("bz2"),
    "xz": lambda: archived("xz"),
    "zip": zipped,
    "7z": lambda: b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(100),
    "rar": lambda: b"Rar!\x1a\x07\x01\x00" + bytes(100),
    "zstd": lambda: b"\x28\xb5\x2f\xfd" + bytes(100),
}


@pytest.mark.parametrize("name", ["teachers.tar", "teacher.pth"])
@pytest.mark.parametrize("kind", ARCHIVES)
def test_an_archive_is_to_be_unpacked(kind, name, refused):
    advice = "unpack it, and give one of the files of weights in it"
    assert refused(ARCHIVES[kind](), name) == f"is an archive ({kind}): {advice}"


def test_an_empty_or_compressed_zip_of_files_is_an_archive_too(refused):
    empty = io.BytesIO()
    ZipFile(empty, "w").close()
    for content in (empty.getvalue(), zipped(ZIP_DEFLATED)):
        assert refused(content).startswith("is an archive (zip)")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty: copy or download it again"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "is a Git LFS pointer, not the file"),
        (b"\xef\xbb\xbf\n <!DOCTYPE html>\n<html><body>404", "is a web page: download the file of weights itself"),
        (b"<html>404</html>", "is a web page: download the file of weights itself"),
        (b'{"message": "Not Found"}', "is a text: give a file that torch.save or safetensors wrote"),
        ("Größe: klein. ".encode() * 60, "is a text: give a file that torch.save or safetensors wrote"),
        (b"PK\x03\x04" + bytes(300), "is no file of weights, or it is damaged"),
    ],
)
def test_what_was_saved_in_place_of_weights_is_named(content, says, refused):
    assert refused(content).startswith(says)


def rewritten(method=ZIP_STORED, compressed="", change=lambda _: None, add=()):
    """A file of ``torch.save`` whose zip is written again: with compressed entries, and a changed directory."""
    source, file = ZipFile(io.BytesIO(saved())), io.BytesIO()
    with ZipFile(file, "w") as archive:
        for entry in source.infolist():
            packed = method if entry.filename.endswith(compressed) else ZIP_STORED
            archive.writestr(entry.filename, source.read(entry), packed)
        for name in add:
            archive.writestr(name, b"")
        change(archive)
    return file.getvalue()


def test_a_zip_written_again_is_read(tmp_path):
    (tmp_path / "again.pth").write_bytes(rewritten())
    assert safe_load(tmp_path / "again.pth")["weight"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("method", [ZIP_DEFLATED, ZIP_BZIP2, ZIP_LZMA])
@pytest.mark.parametrize("compressed", ["", "/data.pkl", "/data/1"])
def test_compressed_entries_are_not_unpacked(method, compressed, refused):
    end = "and is not unpacked: save the state dict with torch.save"
    assert refused(rewritten(method, compressed)) == f"is compressed, which torch.save never does, {end}"


def test_an_entry_that_claims_more_than_is_stored_is_refused(refused):
    def claim(archive):
        archive.filelist[-1].file_size = 3_600_000_000

    assert refused(rewritten(change=claim)).startswith("is compressed")


def test_entries_that_share_their_bytes_are_refused(refused):
    def share(archive):
        tensor = next(entry for entry in archive.filelist if entry.file_size > 3000)
        for number in range(100):
            again = copy(tensor)
            again.filename = f"archive/data/{number + 2}"
            archive.filelist.append(again)

    assert refused(rewritten(change=share)) == "is no file of weights, or it is damaged"


def test_a_program_is_refused(refused):
    says = "is a TorchScript program, which holds code: save its state dict with torch.save"
    assert refused(rewritten(add=["archive/constants.pkl"])) == says


def test_a_safetensors_header_that_claims_more_than_there_is_is_refused(refused):
    count = 900_000_000
    tensor = {"dtype": "F32", "shape": [count], "data_offsets": [0, 4 * count]}
    header = json.dumps({"weight": tensor}).encode()
    assert refused(len(header).to_bytes(8, "little") + header + bytes(12)) == "is no file of weights, or it is damaged"


def test_a_legacy_file_that_claims_more_than_there_is_is_refused(tmp_path):
    count, claimed = 1000, 900_000_000
    raw = saved(_use_new_zipfile_serialization=False)
    numbers = {b"M" + count.to_bytes(2, "little"): b"J" + claimed.to_bytes(4, "little")}
    for number, other in numbers.items():
        assert number in raw
        raw = raw.replace(number, other)
    (tmp_path / "teacher.pth").write_bytes(raw)
    with pytest.raises(PublishedError, match="is no file of weights, or it is damaged"):
        safe_load(tmp_path / "teacher.pth")


def test_a_file_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    def denied(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "open", denied)
    with pytest.raises(PublishedError, match=r"teacher\.pth cannot be read: Permission denied$"):
        safe_load(tmp_path / "teacher.pth")
