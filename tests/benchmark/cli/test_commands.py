"""Which module does what an option asks for."""

from importlib import import_module

import pytest

from benchmark.cli import commands, main
from benchmark.cli.arguments import parser


@pytest.mark.parametrize("option", commands.BY_OPTION)
def test_every_command_has_an_option_and_a_module(option):
    assert hasattr(parser().parse_args([]), option)
    module = import_module(f"benchmark.cli.{commands.BY_OPTION[option].module}")
    assert module.__doc__.startswith(f"``--{option.replace('_', '-')}")
    assert callable(module.run)


def test_the_option_decides(tmp_path, capsys):
    assert main.main(["--new-method", str(tmp_path / "plugged.py")]) == 0
    assert (tmp_path / "plugged.py").is_file()
    assert "--plugin" in capsys.readouterr().out
    assert main.main(["--why", "nothing"]) == 2
    assert "neither a cell" in capsys.readouterr().err


def test_a_plan_is_not_rendered(capsys):
    assert main.main(["--table", "6", "--plan", "--render"]) == 2
    assert capsys.readouterr().err == "error: one thing at a time: leave out --plan or --render\n"
