"""The benchmark of rendering, beside a few records."""

import csv

from benchmark.bench import rendering


def test_times_every_command_beside_as_many_records_as_asked_for(tmp_path, capsys):
    rendering.run(["--records", "40", "--rounds", "1", "--output", str(tmp_path)])
    with (tmp_path / "rendering.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["command"] for row in rows] == list(rendering.COMMANDS)
    assert {row["records"] for row in rows} == {"40"}
    assert all(float(row["median_seconds"]) > 0 for row in rows)
    assert capsys.readouterr().out.count("40 records in the store") == len(rows)
