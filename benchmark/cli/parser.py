"""Parses the command line; without a subcommand it regenerates tables."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from benchmark.cli import USAGE_ERROR
from benchmark.cli.arguments import ARGUMENTS, OPTIONS, Parser, defaults
from benchmark.cli.commands import COMMANDS, RUN, Command
from benchmark.errors import unknown
from benchmark.text import visible_line

_MODES = ("plan", "render")
_FORMS: Mapping[str, str] = MappingProxyType({"check": "render", "verbose": "plan", "json": "plan"})
"""Options that change what a mode prints."""
_FORMER_OPTIONS = ("--why", "--export", "--claims", "--status", "--list", "--new-method")
_RENAMED: Mapping[str, str] = MappingProxyType(
    {"--launch": "now --no-cuda-graphs", "--brief": "gone: plans are brief unless --verbose is given"}
)
"""Options of former versions that a subcommand or another option has replaced."""


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse a command line; without a subcommand it regenerates tables.

    Returns:
        The value of every option of every command (the default where it is not given), and ``command``: its name, or
        None.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    name = words.pop(0) if words and words[0] in COMMANDS else None
    parser = parser_of(name)
    if moved := _moved(words):
        parser.exit(USAGE_ERROR, f"error: use: {_program()} {visible_line(shlex.join(moved))}\n")
    options, unread = parser.parse_known_args(words, argparse.Namespace(**defaults(), command=name))
    if unread:
        parser.error(_misplaced(unread))
    options.leaderboard |= name == "leaderboard"
    _check_forms(parser, options)
    return options


def parser_of(name: str | None) -> Parser:
    """The parser of a subcommand, or of the command without one."""
    command = COMMANDS[name] if name else RUN
    parser = Parser(
        prog=f"{_program()} {name}" if name else _program(),
        usage=f"%(prog)s {command.argument.upper() or '[COMMAND]' * (not name)} [option ...]".replace("  ", " "),
        description=command.about,
        epilog=_epilog(command),
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=28),
        allow_abbrev=False,
        add_help=False,
    )
    if command.argument:
        parser.add_argument(command.argument, **ARGUMENTS[command.argument])
    for title, options in {**command.options, "other": (*command.options.get("other", ()), "debug")}.items():
        group = parser.add_argument_group(title)
        modes = group.add_mutually_exclusive_group() if {*_MODES} <= {*options} else group
        for option in options:
            (modes if option in _MODES else group).add_argument(f"--{option}", **OPTIONS[option])
    group.add_argument("-h", "--help", action="help", help="show this message")
    return parser


def _program() -> str:
    return Path(sys.argv[0]).name


def _epilog(command: Command) -> str:
    lines = ["examples:", *(f"  {_program()} {example}" for example in command.examples)]
    if command is RUN:
        about = (f"  {name:12} {other.about.partition(':')[0].rstrip('.')}" for name, other in COMMANDS.items())
        lines += ["", f"commands ({_program()} COMMAND --help tells more):", *about]
    return "\n".join(lines)


def _moved(words: Sequence[str]) -> list[str]:
    """The command line of a subcommand that was an option once (``--why X``); empty where there is none."""
    for place, word in enumerate(words):
        option, _, value = word.partition("=")
        if option in _FORMER_OPTIONS:
            return [option[2:], *([value] if value else []), *words[:place], *words[place + 1 :]]
    return []


def _misplaced(words: Sequence[str]) -> str:
    """What is wrong with words that the parser could not read."""
    word = words[0]
    if word in COMMANDS:
        return f"write the command first: {_program()} {word} ..."
    if word in _RENAMED:
        return f"{word} is {_RENAMED[word]}"
    if word.startswith("-"):
        return f"unrecognized arguments: {' '.join(words)}"
    return str(unknown("command", word, COMMANDS))


def _check_forms(parser: Parser, options: argparse.Namespace) -> None:
    """Exit where no table is named, or where an option needs or excludes another one that argparse cannot group."""
    for form, mode in _FORMS.items():
        if getattr(options, form) and not getattr(options, mode) and options.command in (None, "leaderboard"):
            parser.error(f"argument --{form}: it needs --{mode}")
    if options.render and options.retrain:
        parser.error("argument --retrain: not allowed with argument --render")
    if options.command is None and not (options.table or options.figure or options.leaderboard or options.version):
        parser.error("name a table, for instance --table 6, a figure, or a command, for instance leaderboard")
