"""The parser of the command line: suggestions, help where no command is named, and the exit codes of each command."""

import argparse

import pytest

from bridge.cli.main import main, parser


def refused(capsys, *words):
    """Parse words that are wrong; return what is said."""
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(words)
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("chek-config",), "check-config"),
        (("alarms", "lst"), "list"),
        (("status", "-o", "tabel"), "table"),
        (("alarms", "list", "--taget=x"), "--target"),
        (("serve", "--web.listen-adress", ":1"), "--web.listen-address"),
        (("alarms", "list", "--state", "waitng"), "waiting"),
        (("alarms", "list", "--state", "firing"), "open"),
        (("alarms", "clear", "--state", "active"), "open"),
        (("alarms", "list", "--state=resolved"), "cleared"),
        (("alarms", "list", "--state", "pending"), "waiting"),
        (("alarms", "list", "--state", "open", "cart"), "--text cart"),
        (("alarms", "list", "cart", "shop"), "--text cart"),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_one(capsys, words, meant):
    """What is nearly right, Alertmanager's word for it, and a word without an option end with a suggestion."""
    assert f"did you mean '{meant}'?\n" in refused(capsys, *words)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("alarms", "--filter", "x"), "aom-bridge alarms list --filter"),
        (("--config.file=x", "serve"), "aom-bridge serve --config.file"),
        (("--versio",), "--version"),
    ],
)
def test_an_option_before_its_command_is_answered_with_the_right_order(capsys, words, meant):
    """The error names the command that takes the option; it is not taken for the command's name."""
    said = refused(capsys, *words)
    assert f"did you mean '{meant}'?\n" in said
    assert len(said.splitlines()) == 2


def test_ids_that_an_option_parts_are_told(capsys):
    """They are no text to search for."""
    said = refused(capsys, "alarms", "discard", "a", "--dry-run", "b")
    assert "unrecognized arguments: b; all ids stand together, before or after the options\n" in said


def test_an_option_is_written_in_full(capsys):
    """The beginning of an option is not the option: one that is added later would change its meaning."""
    assert "did you mean '--filter'?" in refused(capsys, "alarms", "list", "--filte", "x")


def test_an_error_is_short_and_names_the_help(capsys):
    """One line says what is wrong, one where the usage stands."""
    said = refused(capsys, "alarms", "list", "--limit", "many")
    assert said.splitlines() == [
        "aom-bridge alarms list: error: argument --limit: invalid int value: 'many'",
        "For the usage: aom-bridge alarms list --help",
    ]


def test_a_name_like_no_other_is_answered_without_a_guess(capsys):
    """What resembles nothing gets no suggestion."""
    assert "did you mean" not in refused(capsys, "xyzzy")
    assert "did you mean" not in refused(capsys, "serve", "--xyzzy")


@pytest.mark.parametrize("words", [[], ["alarms"], ["ledger"]])
def test_a_line_without_a_command_gets_the_help_and_is_no_success(capsys, words):
    """The help goes to standard error and the exit code is 2, so that a script with an empty name does not go on."""
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "commands:\n" in captured.err


def commands(one, names=()):
    """Yield each command with its names."""
    groups = [action for action in one._actions if isinstance(action, argparse._SubParsersAction)]
    for group in groups:
        for name, each in group.choices.items():
            yield from commands(each, (*names, name))
    if not groups:
        yield " ".join(names), one


def test_each_command_tells_its_exit_codes():
    """The help of each command ends with its exit codes, 0 and 2 among them."""
    every = dict(commands(parser()))
    assert {"serve", "alarms list", "ledger copy"} <= every.keys()
    for name, one in every.items():
        text = one.format_help()
        assert "\nexit codes:\n  0  " in text, name
        assert "\n  2  " in text, name
