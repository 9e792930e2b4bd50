"""Diagnostics: what an operator sees, and that it never holds a password."""

import pytest

from trunkline.config.diagnostics import ConfigErrors, Diagnostic, Part, Path, Place, Report, did_you_mean, redact
from trunkline.errors import ConfigError


def test_render_points_at_the_column() -> None:
    shown = Diagnostic("a.toml", 12, 5, "wrong", "do right", "x = 5").render()
    assert shown == "a.toml:12:5: error: wrong\n  12 | x = 5\n     |     ^\n  hint: do right"


def test_render_keeps_tabs_before_the_caret() -> None:
    assert Diagnostic("f", 1, 2, "m", "", "\tx").render().endswith("|\u0020\t^")


def test_render_without_a_place_is_one_line() -> None:
    assert Diagnostic("f", 0, 0, "m").render() == "f: error: m"


def test_color_only_when_asked() -> None:
    diagnostic = Diagnostic("f", 1, 1, "m", "h", "x")
    assert "\x1b" in diagnostic.render(color=True)
    assert "\x1b" not in diagnostic.render()


def test_control_characters_of_a_file_do_not_reach_the_terminal() -> None:
    assert "\x1b" not in Diagnostic("f", 1, 1, "m", "", "x = '\x1b[2J'").render()


def test_errors_are_in_the_order_of_the_file_and_counted() -> None:
    errors = ConfigErrors([Diagnostic("f", 9, 1, "later"), Diagnostic("f", 2, 1, "first", "hint")])
    assert isinstance(errors, ConfigError)
    assert str(errors) == "f:2:1: first (hint), and 1 more"
    assert [d.message for d in errors.diagnostics] == ["first", "later"]
    assert errors.render().index("first") < errors.render().index("later")


@pytest.mark.parametrize(
    "line",
    [
        'primary = "postgres://u:hush@h/d"',
        'primary = "postgres://u:hu@sh@h/d"',
        'primary = "postgres://u:hush',
        "postgres://u:hush/x@h",
        "postgres://h/d?password=hush&x=1",
        'password = "hush"',
        "password = 'hush'",
        'password = "hush',
        'password = """hush"""',
        "password = hush hush",
        'databases.app."password" = "hush"',
        '{ user = "u", password = "hu\\"sh" }',
        "PGPASSWORD=hush",
    ],
)
def test_a_password_is_masked_and_columns_stay_true(line: str) -> None:
    masked = redact(line)
    assert "hu" not in masked
    assert "sh" not in masked.replace("ssl", "")
    assert len(masked) == len(line)


@pytest.mark.parametrize(
    "line", ['primary = "postgres://h1:1,h2:5432/d"', 'auth_file = "x"', "postgres://u@h:5432/d?x=1"]
)
def test_a_line_without_a_secret_is_left_alone(line: str) -> None:
    assert redact(line) == line


def test_did_you_mean_keeps_the_known_spelling() -> None:
    assert did_you_mean("KB", ["kB"]) == "did you mean `kB`?"
    assert did_you_mean("zzz", ["kB"]) == ""


class Known:
    def __init__(self, *paths: Path) -> None:
        self.paths = paths

    def place(self, path: Path, part: Part) -> Place | None:
        return Place("known", 7, 3 if part == "key" else 9, "a = b") if path in self.paths else None


def test_a_report_finds_the_nearest_table_around_a_path() -> None:
    report = Report("whole", Known(("a",)))
    report.add(("a", "b"), "m")
    assert (report.diagnostics[0].line, report.diagnostics[0].column) == (7, 3)


def test_a_report_falls_back_to_the_source_as_a_whole() -> None:
    report = Report("whole", Known())
    report.add(("a",), "m")
    assert str(report.diagnostics[0]) == "whole: m"


def test_an_offset_moves_the_column() -> None:
    report = Report("whole", Known(("a",)))
    report.add(("a",), "m", offset=4)
    assert report.diagnostics[0].column == 13


def test_a_report_remembers_what_was_refused() -> None:
    report = Report("whole")
    report.add(("databases", "app", "host"), "m")
    assert report.is_refused("host")
    assert report.is_refused("app", "host")
    assert not report.is_refused("app")


def test_an_empty_report_raises_nothing() -> None:
    Report("whole").raise_errors()
