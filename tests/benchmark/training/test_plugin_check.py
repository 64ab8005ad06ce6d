"""Methods and networks that violate the contract, each in its own way, and some that keep it."""

import re

import pytest
import torch

import methods
import models
from benchmark.config.overrides import load_profile
from benchmark.config.resolve import ConfigResolver
from benchmark.config.teachers import TeacherChoice
from benchmark.planning import plugin_check
from benchmark.planning.check_process import Report
from benchmark.registry import catalog, plugins
from benchmark.runs.names import parse_method
from benchmark.training.plugin_check import check
from models import registry
from models.wrn import WideResNet

HEAD = """
import torch
from torch import nn
from torch.nn import functional

from methods import Method, NotApplicableError


class Mine(Method):
    title = "Mine"
    citation = "unpublished"
"""
KEEPS = """
    def __init__(self, pair, *, power: float = 2.0):
        super().__init__(pair)
        self.connector = nn.Linear(pair.student.embedding, pair.teacher.embedding)
        self.power = power

    def forward(self, student, teacher, batch):
        head = self.pair.teacher_network.classifier
        distance = (self.connector(student.embedding) - teacher.embedding).abs().pow(self.power).mean()
        logits = head(self.connector(student.embedding))
        return {"distance": distance, "head": functional.mse_loss(logits, teacher.logits)}
"""
STAGED = """
    pretrain = "{whose}"

    def __init__(self, pair):
        super().__init__(pair)
        self.map = nn.Conv2d(pair.student.map[0], pair.teacher.map[0], 1)

    def pretrain_modules(self):
        return self.map

    def pretrain_loss(self, student, teacher, batch):
        return {pretraining}

    def forward(self, student, teacher, batch):
        return {forward}
"""
DISTANCE = '{{"distance": (self.map({}) - teacher.map).square().mean()}}'
ON_STUDENT = {"whose": "student", "pretraining": DISTANCE.format("student.map"), "forward": "{}"}
ON_TEACHER = {
    "whose": "teacher",
    "pretraining": DISTANCE.format("student.map"),
    "forward": '{"logits": (student.logits - self.map(teacher.map).mean((2, 3))[:, :1]).square().mean()}',
}


def forward(result):
    return f"    def forward(self, student, teacher, batch):\n        return {result}\n"


def built(line):
    return f"    def __init__(self, pair):\n        super().__init__(pair)\n        {line}\n" + forward(LOSS)


def wrapping(lines):
    return f"    def wrap(self, student):\n        {lines}\n" + forward(LOSS)


LOSS = '{"plugged": student.logits.square().mean()}'
BETWEEN = '{"plugged": (student.logits - teacher.logits).square().mean()}'
UNLIKE = """
    def __init__(self, pair):
        super().__init__(pair)
        raise NotApplicableError("nowhere")
"""


@pytest.fixture
def subject(monkeypatch, tmp_path):
    """``subject(body)`` is what is to be checked of a method with that body, on a pair of small networks."""

    def make(body, name="plugged", teacher="wrn-16-1", student="wrn-16-1", recipe="C10-WRN"):
        path = tmp_path / "plugged.py"
        path.write_text(HEAD + body, encoding="utf-8")
        monkeypatch.setenv(plugins.VARIABLE, str(path))
        method = parse_method(name)
        run = ConfigResolver(load_profile("digits"), {}).run(recipe, student, method, TeacherChoice(recipe, teacher), 0)
        (found,) = plugin_check.subjects([run])
        return found

    return make


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


KEEPING = {
    "modules": (KEEPS, {}),
    "an option": (KEEPS, {"name": "plugged[power=3]"}),
    "a sum": (KEEPS, {"name": "plugged+kd"}),
    "plain": (forward(LOSS), {}),
    "weight that rises from zero": (forward('{"plugged": batch.progress * student.logits.square().mean()}'), {}),
    "classes as vectors": (
        forward('{"a": -(functional.one_hot(batch.targets, student.logits.shape[1]) * student.logits).mean()}'),
        {},
    ),
    "student's stage": (STAGED.format(**ON_STUDENT), {}),
    "teacher's stage": (STAGED.format(**ON_TEACHER), {}),
    "train mode": ('    requires = ("teacher_in_train_mode",)\n' + forward(BETWEEN), {}),
    # A network that needs larger images than the data have.
    "vgg": (KEEPS, {"teacher": "vgg13", "student": "vgg8", "recipe": "CRD100"}),
}


@pytest.mark.parametrize(("body", "changes"), KEEPING.values(), ids=KEEPING)
def test_what_keeps_the_contract_passes(subject, body, changes):
    assert check(subject(body, **changes)).fault == ""


def test_what_cannot_be_captured_is_no_fault_and_said(subject):
    report = check(subject(forward('{"a": student.logits.mean() * torch.rand(())}')))
    assert report.fault == ""
    [remark] = report.remarks
    assert "plugged.py runs eagerly on a GPU, not as a CUDA graph: it draws from torch's global generator" in remark


def test_what_applies_to_no_pair_has_shown_nothing(subject):
    assert check(subject(UNLIKE)) == Report(None)


NEEDY = {
    "preact_norms": built("pair.teacher_network.preact_norms()"),
    "resume": forward('{"a": self.pair.teacher_network.resume(1, student.feats[1]).mean()}'),
    "trunk": STAGED.format(**ON_STUDENT),
}


@pytest.mark.parametrize(("part", "body"), NEEDY.items(), ids=NEEDY)
def test_what_needs_a_part_that_the_networks_lack_does_not_apply(part, body, subject, monkeypatch):
    found = subject(body)
    assert check(found).fault == ""
    monkeypatch.setattr(WideResNet, part, getattr(models.Network, part))
    assert check(found).fault is None


FAULTS = {
    "no loss": (forward("{}"), "its loss must be a dictionary of named scalars"),
    "a number": (forward("student.logits.mean()"), "its loss must be a dictionary"),
    "no name": (forward("{1: student.logits.mean()}"), "its loss must be a dictionary"),
    "no tensor": (forward('{"a": 1.0}'), "part 'a' of its loss must be a scalar tensor of floating point, not float"),
    "no scalar": (
        forward('{"a": student.logits}'),
        r"a scalar tensor of floating point, not torch.float32 of shape \(8, 10\)",
    ),
    "not finite": (forward('{"a": student.logits.mean() / 0}'), "part 'a' of its loss is -?inf on random images"),
    "of the teacher": (forward('{"a": teacher.logits.mean()}'), "its loss gives no gradient to what it trains"),
    "zero": (forward('{"a": 0 * student.logits.mean()}'), "its loss gives no gradient to what it trains"),
    "broken gradient": (forward('{"a": (student.feats[0] * 0).sqrt().mean()}'), "a gradient is not finite"),
    "a module": (built("self.head = pair.teacher_network.classifier"), "'head.weight' is the teacher's own"),
    "changed": (
        built("nn.init.zeros_(pair.teacher_network.classifier.weight)"),
        "it changes the teacher's weights or statistics",
    ),
    "logits": (
        forward('{"a": (student.logits - teacher.logits.div_(4)).square().mean()}'),
        "it changes the teacher's features, which other runs share",
    ),
    "a global": (
        forward('{"a": (student.logits - SEEN.setdefault("mean", teacher.logits.mean(0))).square().mean()}')
        + "SEEN = {}\n",
        "attribute 'global SEEN.mean' appears in a step",
    ),
    "cuDNN": (
        built("torch.backends.cudnn.deterministic = True"),
        "it changes cuDNN's determinism for the whole process",
    ),
    "wraps into nothing": (wrapping("return None"), "its wrap must return a models.Network with logits of 10 classes"),
    "wraps into a module": (wrapping("return nn.Sequential(student)"), "its wrap must return a models.Network"),
    "wraps into other classes": (
        wrapping("student.num_classes = 7; return student"),
        "its wrap must return a models.Network with logits of 10 classes",
    ),
    "changes the student": (
        wrapping("student.classifier = nn.Linear(student.classifier.in_features, 10, bias=False); return student"),
        "its wrap changes the student, so that no other network could load its weights",
    ),
    "shares the teacher": (
        wrapping("student.classifier.bias = self.pair.teacher_network.classifier.bias; return student"),
        "'classifier.bias' is the teacher's own",
    ),
    "raises": (forward("{'a': student.nothing}"), r"plugged.py:13: AttributeError: .*'nothing'"),
    "raises elsewhere": (built("nn.Linear(0.5, 2)"), r"plugged.py:14: TypeError: "),
    "options": ("    def __init__(self, pair, *, size): ...\n" + forward(LOSS), "TypeError: .*missing 1 required"),
    "import": (forward(LOSS) + "import nothing_of_that_name\n", r"plugged.py:14: ModuleNotFoundError: .*nothing_of"),
    "stage": (
        STAGED.format(**{**ON_STUDENT, "pretraining": DISTANCE.format("student.map.detach()")}),
        "its pretrain_loss gives no gradient",
    ),
    "teacher's stage": (
        STAGED.format(**{**ON_TEACHER, "pretraining": '{"a": teacher.map.mean()}'}),
        "its pretrain_loss gives no gradient",
    ),
    "no loss after the teacher's stage": (
        STAGED.format(**{**ON_TEACHER, "forward": "{}"}),
        "its loss must be a dictionary",
    ),
}


@pytest.mark.parametrize(("body", "says"), FAULTS.values(), ids=FAULTS)
def test_what_breaks_the_contract_is_one_line(subject, body, says, tmp_path):
    fault = check(subject(body)).fault
    assert fault.startswith(f"method 'plugged' of {tmp_path}/plugged.py")
    assert "\n" not in fault
    assert re.search(says, fault)


def test_it_is_checked_on_the_first_pair_to_which_it_applies(monkeypatch, subject):
    found = subject(forward(LOSS))
    tried = []

    class Only(methods.Method):
        title = "Mine"

        def __init__(self, pair):
            tried.append(pair.teacher.name)
            if len(tried) == 1:
                raise methods.NotApplicableError("not there")
            super().__init__(pair)

        def forward(self, *_):
            return {}

    monkeypatch.setattr(methods, "load", lambda _: Only)
    twice = plugin_check.Subject(found.title, found.path, found.term, found.jobs * 2, found.key)
    assert "its loss must be a dictionary" in check(twice).fault
    assert tried == ["wrn-16-1", "wrn-16-1"]


def test_global_state_of_the_settled_methods_needs_no_check():
    run = ConfigResolver(load_profile("digits"), {}).run(
        "C10-WRN", "wrn-16-1", parse_method("kd+srrl"), TeacherChoice("C10-WRN", "wrn-40-2"), 0
    )
    assert plugin_check.subjects([run, run.teacher]) == []


NETWORK = """
import torch
from torch import nn

from models import Features, Network, Request, register


class Small(Network):
    family = "small"

    def __init__(self, request):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.classifier = nn.Linear(8, request.num_classes)
        self.calls = 0

    def count(self):
        self.calls += 1
        return self.calls

    def forward(self, images):
        last = torch.relu(self.conv(images))
        embedding = last.mean((2, 3))
        return Features({logits}, {embedding}, last, (last,), (last,))


@register("small-checked")
def build(request):
    return Small(request)
"""
LOGITS = "self.classifier(embedding)"


@pytest.fixture
def network(monkeypatch, tmp_path):
    """``network(logits)`` is what is to be checked of a network that gives such logits."""
    models.names()
    monkeypatch.setattr(registry, "registered", dict(registry.registered))

    def make(logits, embedding="embedding"):
        path = tmp_path / "net.py"
        path.write_text(NETWORK.format(logits=logits, embedding=embedding), encoding="utf-8")
        shapes = ("8x32x32", "8x32x32")
        info = catalog.NetworkInfo("small-checked", "small", 1, 1, 32, 100, *shapes, plugins.own_code(path), path)
        monkeypatch.setattr(catalog, "networks", lambda: {"small-checked": info})
        monkeypatch.setenv(plugins.VARIABLE, str(path))
        resolver = ConfigResolver(load_profile("digits"), {})
        (found,) = plugin_check.subjects([resolver.run("C10-WRN", "small-checked", parse_method("student"), None, 0)])
        return found

    return make


MASKED = f"{LOGITS}.masked_fill(torch.arange(10) == 3, -torch.inf)"


@pytest.mark.parametrize(
    ("logits", "embedding", "says"),
    [
        (LOGITS, "embedding", None),
        (MASKED, "embedding", None),
        (f"{LOGITS}[:, :7]", "embedding", r"the logits have shape \(8, 7\), not \(8, 10\)"),
        (LOGITS, "embedding[:, :7]", "the embedding is not what the classifier takes"),
        (f"{LOGITS} / 0", "embedding", "the logits are not finite"),
        (f"{LOGITS} - torch.inf", "embedding", "the logits are not finite"),
        (f"{LOGITS} + 0 * images.data.mul_(2).sum()", "embedding", "it changes the batch's images"),
        (f"{LOGITS} * self.count()", "embedding", r"attribute 'network.calls' changes from \d+ to \d+ in a step"),
        (f"{LOGITS}.detach()", "embedding", "no gradient of the logits reaches the parameters"),
        (f"{LOGITS} + images.nothing", "embedding", r"net.py:24: AttributeError"),
    ],
)
def test_a_network_is_checked_as_it_is_planned(network, logits, embedding, says):
    fault = check(network(logits, embedding)).fault
    assert fault.startswith("network 'small-checked' of ") if says else fault == ""
    assert re.search(says or "", fault)
