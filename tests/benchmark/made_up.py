"""Jobs that are nothing but what a schedule needs to know of them."""

from dataclasses import dataclass

from benchmark.jobs import Job


@dataclass(frozen=True, kw_only=True, eq=False)
class Task(Job):
    """A job that says what it costs, and which others it needs."""

    kind = "train"

    own: int = 0
    shared: int = 0
    after: tuple[Job, ...] = ()

    @property
    def needs(self):
        return self.after

    @property
    def spec(self):
        return {"network": self.network, "seed": self.seed}
