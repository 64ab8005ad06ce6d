"""``--retrain``: find finished jobs to train again, because another machine trained them or what they rest on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from benchmark.planning.cohorts import count_jobs
from benchmark.runs.job import Job
from benchmark.runs.record import DONE, Conditions, Record

_ON_RETRAINED = "resting on jobs that are trained again"
_ON_REPLACED = "resting on weights that were replaced since"


@dataclass(frozen=True)
class Retraining:
    """Jobs to train again.

    Attributes:
        why: the reason by job.
        teachers: jobs with such a reason that stay, because they are teachers.
    """

    why: Mapping[Job, str] = field(default_factory=dict)
    teachers: tuple[Job, ...] = ()

    def remarks(self, jobs: Iterable[Job], here: Sequence[Conditions]) -> Iterator[str]:
        """Messages for the user.

        Args:
            jobs: the jobs that can be trained again.
            here: conditions of this machine's processes.
        """
        reasons: dict[str, list[Job]] = {}
        for job in jobs:
            reasons.setdefault(self.why[job], []).append(job)
        for reason, found in reasons.items():
            yield f"to train again: {', '.join(count_jobs(found))} {reason}"
        for job in self.teachers:
            yield f"not trained again: {job}, because it is the teacher of students"
        if not (reasons or self.teachers):
            made = "; or ".join(_listed(conditions) for conditions in here)
            yield f"nothing to train again: as far as is known, all selected jobs were trained here ({made})"


def find(
    wanted: Iterable[Job],
    jobs: Iterable[Job],
    records: Mapping[str, Record],
    here: Sequence[Conditions],
    is_teacher: Callable[[Job], bool],
) -> Retraining:
    """Find jobs that another machine trained, among some jobs and their parts.

    Jobs that rest on a retrained job, or on weights that were replaced, are trained again too.

    Args:
        wanted: jobs whose numbers are compared.
        jobs: the wanted jobs and all their needs, needs first.
        records: records by job id.
        here: conditions of this machine's processes, one per device.
        is_teacher: whether other jobs learn from a job's weights.
    """
    scope, why, teachers = {part for job in wanted for part in _whole(job)}, dict[Job, str](), list[Job]()
    for job in jobs:
        record = records.get(job.id)
        if job not in scope or record is None or record.status != DONE:
            continue
        reason = _of_other_machine(record, here) or _of_replaced_weights(job, record, records, why)
        if reason and is_teacher(job):
            teachers.append(job)
        elif reason:
            why[job] = reason
    return Retraining(why, tuple(teachers))


def _whole(job: Job) -> Iterator[Job]:
    """A job with its parts, recursively."""
    yield job
    for part in job.parts:
        yield from _whole(part)


def _of_other_machine(record: Record, here: Sequence[Conditions]) -> str:
    """How the machine of a record differs from this one; empty if it is not known to differ."""
    unlike = min((_differences(record.provenance.conditions, conditions) for conditions in here), key=len)
    return f"from another machine ({'; '.join(unlike)})" if unlike else ""


def _differences(there: Conditions, here: Conditions) -> list[str]:
    known = [what for what in there if there[what] is not None and here[what] is not None]
    return [f"{what}: {there[what]}, here {here[what]}" for what in known if there[what] != here[what]]


def _of_replaced_weights(job: Job, record: Record, records: Mapping[str, Record], again: Mapping[Job, str]) -> str:
    """Why a job read other weights than the present or future ones; empty if it did not."""
    if any(part in again for part in job.parts):
        return _ON_RETRAINED
    parts = (records[part.id] for part in job.parts if part.id in records)
    return _ON_REPLACED if any(map(record.rests_on_earlier, parts)) else ""


def _listed(conditions: Conditions) -> str:
    return "; ".join(f"{what}: {value}" for what, value in conditions.items() if value is not None)
