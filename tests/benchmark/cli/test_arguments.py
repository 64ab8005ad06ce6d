"""The command line's parser."""

import pytest

from benchmark.cli.arguments import parse


@pytest.mark.parametrize("former", ["why", "export", "claims", "status", "list", "new-method"])
def test_a_command_that_was_an_option_is_named(former, capsys):
    with pytest.raises(SystemExit) as end:
        parse([f"--{former}", "x"])
    assert end.value.code == 2
    assert f"--{former} is a command now: " in capsys.readouterr().err
