"""Reading files: the text, or a diagnostic in words."""

from pathlib import Path

import pytest

from trunkline.config.diagnostics import Diagnostic
from trunkline.config.sources import Text, Unreadable, read_text


def refused(path: Path) -> Diagnostic:
    with pytest.raises(Unreadable) as error:
        read_text(path)
    return error.value.diagnostic


def written(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "file"
    path.write_bytes(data)
    return path


def test_a_byte_order_mark_and_windows_line_ends_are_taken_off(tmp_path: Path) -> None:
    assert read_text(written(tmp_path, b"\xef\xbb\xbfa\r\nb\n")) == "a\nb\n"


def test_a_missing_file_is_said_in_words(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "none").message


def test_a_directory_is_not_a_file(tmp_path: Path) -> None:
    assert "is a directory" in refused(tmp_path).message


def test_a_name_that_cannot_be_one_is_refused() -> None:
    assert "not a file name" in refused(Path("a\0b")).message
    assert "too long" in refused(Path("a" * 5000)).message


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_bytes_that_are_not_utf8_are_placed_in_characters(tmp_path: Path, start: bytes) -> None:
    diagnostic = refused(written(tmp_path, start + "ok\né".encode() + b"\xff"))
    assert (diagnostic.line, diagnostic.column) == (2, 2)
    assert "0xff" in diagnostic.message


def test_text_is_a_string_of_its_own_kind() -> None:
    assert Text("5") == "5"
    assert isinstance(Text("5"), str)
