"""``--retrain``: which finished jobs are done again, since another machine left them or what they rest on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from benchmark.planning.plan import count_jobs
from benchmark.runs.job import Job
from benchmark.runs.record import DONE, Conditions, Record

_ON_AGAIN = "resting on what is trained again"
_ON_EARLIER = "resting on weights that were replaced since"


@dataclass(frozen=True)
class Again:
    """Jobs to be done again.

    Attributes:
        why: by job, the reason.
        teachers: jobs with such a reason that stay as they are, since they are teachers.
    """

    why: Mapping[Job, str] = field(default_factory=dict)
    teachers: tuple[Job, ...] = ()

    def remarks(self, jobs: Iterable[Job], here: Sequence[Conditions]) -> Iterator[str]:
        """What a person should know, as sentences.

        Args:
            jobs: those of them that can be done again.
            here: the conditions of this machine's processes.
        """
        reasons: dict[str, list[Job]] = {}
        for job in jobs:
            reasons.setdefault(self.why[job], []).append(job)
        for reason, found in reasons.items():
            yield f"to train again: {', '.join(count_jobs(found))} {reason}"
        for job in self.teachers:
            yield f"not to train again: {job}, for students rest on its weights as those of their teacher"
        if not (reasons or self.teachers):
            made = "; or ".join(_listed(conditions) for conditions in here)
            yield f"nothing to train again: as far as is known, all that is selected was made here ({made})"


def find(
    wanted: Iterable[Job],
    jobs: Iterable[Job],
    records: Mapping[str, Record],
    here: Sequence[Conditions],
    is_teacher: Callable[[Job], bool],
) -> Again:
    """Find what another machine left of some jobs and of what belongs to them.

    What rests on something that is done again is done again, too, and so is what rests on weights that were replaced.

    Args:
        wanted: jobs whose numbers are compared.
        jobs: these and all that they need, needs first.
        records: by job id.
        here: the conditions of this machine's processes, those of each device.
        is_teacher: whether others learn from a job's weights.
    """
    scope, why, teachers = {part for job in wanted for part in _whole(job)}, dict[Job, str](), list[Job]()
    for job in jobs:
        record = records.get(job.id)
        if job not in scope or record is None or record.status != DONE:
            continue
        reason = _from_elsewhere(record, here) or _from_before(job, record, records, why)
        if reason and is_teacher(job):
            teachers.append(job)
        elif reason:
            why[job] = reason
    return Again(why, tuple(teachers))


def _whole(job: Job) -> Iterator[Job]:
    """A job with all that belongs to it."""
    yield job
    for part in job.parts:
        yield from _whole(part)


def _from_elsewhere(record: Record, here: Sequence[Conditions]) -> str:
    """In what the machine of a record differs from this one; empty where it does not, as far as that is known."""
    unlike = min((_differences(record.provenance.conditions, conditions) for conditions in here), key=len)
    return f"from another machine ({'; '.join(unlike)})" if unlike else ""


def _differences(there: Conditions, here: Conditions) -> list[str]:
    known = [what for what in there if there[what] is not None and here[what] is not None]
    return [f"{what}: {there[what]}, here {here[what]}" for what in known if there[what] != here[what]]


def _from_before(job: Job, record: Record, records: Mapping[str, Record], again: Mapping[Job, str]) -> str:
    """Why a job has read other weights than those that there are or will be; empty where it has not."""
    if any(part in again for part in job.parts):
        return _ON_AGAIN
    parts = (records[part.id] for part in job.parts if part.id in records)
    return _ON_EARLIER if any(map(record.rests_on_earlier, parts)) else ""


def _listed(conditions: Conditions) -> str:
    return "; ".join(f"{what}: {value}" for what, value in conditions.items() if value is not None)
