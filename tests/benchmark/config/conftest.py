"""Everything that tables ask for, resolved in every profile."""

from dataclasses import dataclass

import pytest

from benchmark.config import overrides
from benchmark.config.resolve import ConfigResolver
from benchmark.config.teachers import TeacherChoice
from benchmark.runs.job import Job
from benchmark.runs.names import TEACHER, parse_method
from benchmark.tables import reader


@dataclass(frozen=True)
class Question:
    """What makes a cell of a table, but for the seed."""

    recipe: str
    student: str
    method: str
    teacher: TeacherChoice

    def answer(self, resolver: ConfigResolver) -> Job:
        """The run that has the cell's number, or what leaves the teacher's weights."""
        if self.method == TEACHER:
            return resolver.teacher(self.teacher)
        return resolver.run(self.recipe, self.student, parse_method(self.method), self.teacher, 0)


@pytest.fixture(scope="session")
def printed():
    """Cells of every table and of the figure."""
    figures = [reader.load(number, "figure") for number in reader.figures()]
    return [cell for table in (*map(reader.load, reader.numbers()), *figures) for cell in table.cells]


@pytest.fixture(scope="session")
def questions(printed):
    return {
        Question(
            cell.recipe, cell.pair.student, cell.method, TeacherChoice(cell.teacher_recipe, cell.pair.teacher)
        ): None
        for cell in printed
    }.keys()


@pytest.fixture(scope="session")
def resolved(questions):
    """By profile the answer to each question."""
    resolvers = {name: ConfigResolver(overrides.load_profile(name), {}) for name in overrides.names("profile")}
    return {
        name: {question: question.answer(resolver) for question in questions} for name, resolver in resolvers.items()
    }
