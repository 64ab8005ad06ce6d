import json
from datetime import UTC, datetime, timedelta

import pytest

from benchmark import devices
from benchmark.bench import estimate
from benchmark.errors import UserError
from tests.benchmark import made_up

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def leave(tmp_path):
    """Leaves the record of a job that ended so many seconds after noon."""
    count = iter(range(99))

    def write(network, end, seconds, *, estimated=10.0, members=1, teacher="big", here=True):
        recipe = made_up.record().spec["recipe"] | {"epochs": 1 + next(count)}
        record = made_up.raw_record(
            spec={"network": network, "teacher": teacher and {"network": teacher, "id": "ab" * 32}, "recipe": recipe},
            cost={"cohort_seconds": seconds, "cohort_estimated_seconds": estimated, "cohort_members": members},
            provenance={
                "processor": devices.processor() if here else "another one",
                "finished": (NOON + timedelta(seconds=end)).isoformat(timespec="seconds"),
            },
        )
        pair = f"{teacher or 'none'}--{network}"
        path = tmp_path / "records" / "C100" / pair / "kd" / f"seed0-{record['id'][:12]}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record))

    return write


def shown(results):
    return [(cohort.title, cohort.jobs, cohort.estimated, cohort.seconds) for cohort in estimate.cohorts(results)]


def test_a_cohort_ends_with_its_last_member(leave, tmp_path):
    leave("small", 12, 12.0, members=2)
    leave("tiny", 8, 8.0, members=2)
    leave("big", 30, 30.0, teacher=None, estimated=20.0)
    assert shown(tmp_path) == [
        ("train no teacher -> big, seed 0", 1, 20.0, 30.0),
        ("train big -> small, tiny, seed 0", 2, 10.0, 12.0),
    ]


def test_parts_of_a_company_are_cohorts_of_their_own(leave, tmp_path):
    for network, end, seconds in (("a", 10, 10.0), ("b", 9, 9.0), ("c", 25, 14.0), ("d", 23, 12.0)):
        leave(network, end, seconds, members=2)
    leave("e", 7, 7.0, members=1, estimated=6.0)
    assert shown(tmp_path) == [
        ("train big -> c, d, seed 0", 2, 10.0, 14.0),
        ("train big -> a, b, seed 0", 2, 10.0, 10.0),
        ("train big -> e, seed 0", 1, 6.0, 7.0),
    ]


def test_other_machines_and_other_records_do_not_count(leave, tmp_path):
    leave("small", 12, 12.0, here=False)
    leave("small", 12, 0.0)
    leave("small", 12, 12.0, estimated=0.0)
    assert shown(tmp_path) == []
    with pytest.raises(UserError, match="no record there tells what a cohort took on this machine"):
        estimate.run([str(tmp_path)])


def test_the_report(leave, tmp_path, capsys):
    leave("small", 12, 12.0)
    leave("tiny", 30, 15.0, estimated=11.0)
    estimate.run([str(tmp_path), "--csv", str(tmp_path / "out.csv")])
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "    15.0 s, estimated     11.0 s, ratio  1.36: train big -> tiny, seed 0"
    assert printed[-1] == (
        "2 cohorts of 2 jobs took 27.0 s of their processes, estimated 21.0 s, ratio 1.29; 1 cohorts are within 30%"
    )
    assert (tmp_path / "out.csv").read_text().splitlines() == [
        "cohort,jobs,estimated_seconds,seconds,seconds_over_estimated",
        '"train big -> tiny, seed 0",1,11.0,15.0,1.364',
        '"train big -> small, seed 0",1,10.0,12.0,1.2',
    ]
