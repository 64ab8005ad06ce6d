import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmark.data import describe
from benchmark.data.parquet import Columns, read_split
from benchmark.errors import UserError

COLUMNS = Columns(("image", "img"), ("label", "fine_label"))


def read(*paths):
    return read_split(paths, COLUMNS, describe("cifar100"))


@pytest.fixture
def table(tmp_path, make_split, write_parquet):
    """Rows 0 to 8 of a good file, as columns to spoil."""
    path = write_parquet(tmp_path / "good.parquet", make_split(9))
    return pq.read_table(path).to_pydict()


@pytest.fixture
def read_spoilt(tmp_path):
    def write_and_read(columns):
        pq.write_table(pa.table(columns), tmp_path / "bad.parquet")
        return read(tmp_path / "bad.parquet")

    return write_and_read


def test_rows_keep_their_order_over_batches_and_files(tmp_path, make_split, write_parquet):
    last = make_split(6, seed=2)
    few = pq.read_table(write_parquet(tmp_path / "1.parquet", last))
    pq.write_table(pa.concat_tables([few] * 900), tmp_path / "0.parquet")  # more rows than are read at once
    result = read(tmp_path / "0.parquet", tmp_path / "1.parquet")
    np.testing.assert_array_equal(result.images, np.tile(last.images, (901, 1, 1, 1)))
    np.testing.assert_array_equal(result.labels, np.tile(last.labels, 901))


def spoil_cell(columns, row, value):
    columns["image"][row] = {"bytes": value, "path": "x.png"}


def spoil_size(columns, row, make_split):
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(make_split(2, size=31).images[0]).save(buffer, "PNG")
    spoil_cell(columns, row, buffer.getvalue())


SPOILT_ROWS = {
    "row 4: the image cannot be decoded": lambda columns, _: spoil_cell(columns, 4, b"no image"),
    "row 5: the image cannot be decoded": lambda columns, _: spoil_cell(columns, 5, columns["image"][5]["bytes"][:99]),
    "row 6 holds no image bytes": lambda columns, _: spoil_cell(columns, 6, None),
    "row 7: the image is 31x31, it must be 32x32": lambda columns, make: spoil_size(columns, 7, make),
    "row 3 has label 100, it must be 0 to 99": lambda columns, _: columns["label"].__setitem__(3, 100),
    "row 2 has label -1, it must be 0 to 99": lambda columns, _: columns["label"].__setitem__(2, -1),
    "row 8 has label None, it must be 0 to 99": lambda columns, _: columns["label"].__setitem__(8, None),
    "no column image or img": lambda columns, _: columns.update(picture=columns.pop("image")),
    "no column label or fine_label": lambda columns, _: columns.update(coarse_label=columns.pop("label")),
    "row 0 has label cat, it must be 0 to 99": lambda columns, _: columns.update(label=["cat"] * 9),
    "row 0 holds no image bytes": lambda columns, _: columns.update(image=["a.png"] * 9),
}


@pytest.mark.parametrize("message", SPOILT_ROWS)
def test_what_is_wrong_is_said_with_file_and_row(table, make_split, read_spoilt, message):
    SPOILT_ROWS[message](table, make_split)
    with pytest.raises(UserError) as caught:
        read_spoilt(table)
    assert "bad.parquet" in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.99])
def test_damaged_file_is_named(tmp_path, make_split, write_parquet, keep):
    path = write_parquet(tmp_path / "damaged.parquet", make_split(9))
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if keep < 1 else keep])
    with pytest.raises(UserError, match=r"damaged\.parquet: not a readable Parquet file"):
        read(path)


def test_damaged_page_is_named(tmp_path, make_split, write_parquet):
    path = write_parquet(tmp_path / "damaged.parquet", make_split(9))
    content = bytearray(path.read_bytes())
    content[4:64] = b"\xff" * 60
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"damaged\.parquet"):
        read(path)


def test_file_without_rows_is_named(read_spoilt):
    with pytest.raises(UserError, match=r"bad\.parquet: the file holds no rows"):
        read_spoilt({"image": pa.array([], pa.binary()), "label": pa.array([], pa.int64())})


def test_two_columns_of_one_name_are_one_line(tmp_path):
    table = pa.Table.from_arrays([pa.array([b"x"]), pa.array([b"y"]), pa.array([1])], ["image", "image", "label"])
    pq.write_table(table, tmp_path / "twice.parquet")
    with pytest.raises(UserError, match=r"twice\.parquet: not a readable Parquet file"):
        read(tmp_path / "twice.parquet")
