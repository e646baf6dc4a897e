"""Styles: A1111's file to the byte, its rules for putting texts in and taking them out, and their way into a job."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gesso import BadFileError, InvalidInputError, UnknownNameError
from gesso_builtin.styles.files import StyleBook, paths, read
from gesso_builtin.styles.texts import Style, applied, extracted

A1111 = (
    "\ufeffname,prompt,negative_prompt\r\n"
    'film,"film still, {prompt}, grainy","drawing, ""bad"" art"\r\n'
    "plain,masterpiece,\r\n"
    '# a comment,"what, ever",\r\n'
    'lines,"first\nsecond",low quality\r\n'
)
"""As A1111 writes it: a byte order mark, CRLF, quotes where they are needed."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "styles.csv"
    path.write_bytes(A1111.encode())
    return path


def test_a1111s_file_is_read(file: Path) -> None:
    book = StyleBook.read([file])
    assert [(s.name, s.prompt, s.negative_prompt) for s in book.styles.values()] == [
        ("film", "film still, {prompt}, grainy", 'drawing, "bad" art'),
        ("plain", "masterpiece", ""),
        ("lines", "first\nsecond", "low quality"),
    ]


def test_a_change_leaves_the_rest_of_the_file_to_the_byte(file: Path) -> None:
    StyleBook.read([file]).add(Style("new", "a, b", ""))
    assert file.read_bytes() == A1111.encode() + b'new,"a, b",\r\n'
    StyleBook.read([file]).remove("new")
    assert file.read_bytes() == A1111.encode()
    StyleBook.read([file]).add(Style("plain", "best", "worst"), replace=True)
    assert file.read_bytes() == A1111.replace("plain,masterpiece,\r\n", "plain,best,worst\r\n").encode()


def test_columns_of_other_programs_stay(tmp_path: Path) -> None:
    file = tmp_path / "styles.csv"
    file.write_text("name,prompt,negative_prompt,colour\r\na,x,y,red\r\n", newline="")
    StyleBook.read([file]).add(Style("b", "z"))
    assert file.read_text(encoding="utf-8-sig").splitlines() == [
        "name,prompt,negative_prompt,colour", "a,x,y,red", "b,z,,"
    ]  # fmt: skip


def test_a_file_of_a1111s_first_months_is_read(tmp_path: Path) -> None:
    file = tmp_path / "styles.csv"
    file.write_text("name, text\nold, a painting\n", encoding="utf-8")
    assert StyleBook.read([file]).get("OLD").prompt == "a painting"


def test_a_new_file_is_a1111s(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "styles.csv"
    assert StyleBook.read([file]).add(Style("a", "x", "y")) == file
    assert file.read_bytes() == b"\xef\xbb\xbfname,prompt,negative_prompt\r\na,x,y\r\n"


def test_several_files_and_the_later_one_counts(tmp_path: Path) -> None:
    (tmp_path / "styles").mkdir()
    texts = {"styles.csv": "a,first,\nb,only,\n", "styles/1.csv": "a,second,\n", "styles/2.csv": "c,x,\n"}
    for name, text in texts.items():
        (tmp_path / name).write_text("name,prompt,negative_prompt\n" + text)
    book = StyleBook.read(paths(["styles.csv", "styles/*.csv"], tmp_path))
    assert {name: style.prompt for name, style in book.styles.items()} == {"a": "second", "b": "only", "c": "x"}
    assert book.remove("a") == tmp_path / "styles" / "1.csv"
    assert StyleBook.read(book.files).get("a").prompt == "first"


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"prompt,negative_prompt\nx,y\n", "no column 'name'"), (b"name,prompt\n\xff\xfe\n", "Save it as UTF-8"),
     (b'name,prompt\na,"' + b"x" * 200_000 + b'"\n', "after line 1")],
)  # fmt: skip
def test_a_file_that_is_no_table_is_one_error(tmp_path: Path, content: bytes, problem: str) -> None:
    (tmp_path / "styles.csv").write_bytes(content)
    with pytest.raises(BadFileError, match=problem):
        read(tmp_path / "styles.csv")
    assert (tmp_path / "styles.csv").read_bytes() == content


def test_a_name_that_is_taken_or_a_comment_is_refused(file: Path) -> None:
    book = StyleBook.read([file])
    for name, problem in (("film", "already"), ("#x", "cannot be"), (" ", "cannot be")):
        with pytest.raises(InvalidInputError, match=problem):
            book.add(Style(name, "x"))
    with pytest.raises(UnknownNameError, match="Did you mean 'film'"):
        book.get("flim")


@pytest.mark.parametrize(
    ("style", "prompt", "result"),
    [("masterpiece", "a fox", "a fox, masterpiece"), ("film, {prompt}, grain", "a fox", "film, a fox, grain"),
     ("{prompt} and {prompt}", "a", "a and a"), ("", "a fox ", "a fox"), ("x", "  ", "x"), ("{prompt}", " a ", " a ")],
)  # fmt: skip
def test_putting_in_is_a1111s(style: str, prompt: str, result: str) -> None:
    assert applied(style, prompt) == result


@pytest.mark.parametrize(
    ("style", "prompt", "inner"),
    [("masterpiece", "1girl, art by greg, masterpiece", "1girl, art by greg"),
     ("masterpiece, {prompt}", "masterpiece, 1girl, art by greg", "1girl, art by greg"),
     ("masterpiece, {prompt}", "exquisite, 1girl, art by greg", None), ("x", "x", ""),
     ("masterpiece", "1girl,masterpiece", None), ("ab{prompt}ba", "aba", None)],
)  # fmt: skip
def test_taking_out_is_a1111s_where_it_can_be_put_back(style: str, prompt: str, inner: str | None) -> None:
    """The first three are A1111's own examples; the fifth it takes too, and would put back as "1girl,, masterpiece"."""
    names, positive, negative = extracted([Style("s", style)], prompt, "bad")
    assert (names, positive, negative) == ((["s"], inner, "bad") if inner is not None else ([], prompt, "bad"))


def test_several_are_taken_out_last_first() -> None:
    styles = [Style("a", "x", "bad"), Style("b", "({prompt})"), Style("c", "y")]
    assert extracted(styles, "(fox, x), y", "dog, bad") == (["a", "b", "c"], "fox", "dog")


TEXTS = st.text(alphabet="ab, {}()", max_size=8)
STYLES = st.lists(st.builds(Style, st.uuids().map(str), TEXTS | st.just("a, {prompt}"), TEXTS), max_size=4)


@settings(max_examples=200, deadline=None)
@given(STYLES, TEXTS, TEXTS)
def test_what_is_taken_out_can_be_put_back(styles: list[Style], prompt: str, negative: str) -> None:
    names, positive, other = extracted(styles, prompt, negative)
    back = StyleBook((), {s.name: s for s in styles}).applied(names, positive, other)
    assert (back[0].strip(), back[1].strip()) == (prompt.strip(), negative.strip())


# --- in the product -----------------------------------------------------------------------------------------------


@pytest.fixture
def home(demo: Any, file: Path) -> Any:
    """A1111's file in the data folder of the demo."""
    target = demo.service.paths.home / "styles.csv"
    target.write_bytes(file.read_bytes())
    yield demo
    target.unlink()


def test_a_job_holds_the_finished_prompts(home: Any) -> None:
    job = home.job(prompt="a fox", negative_prompt="blue", params={"styles": {"names": ["film", "plain"]}})
    assert job.request.prompt == "film still, a fox, grainy, masterpiece"
    assert job.request.negative_prompt == 'blue, drawing, "bad" art'
    assert "styles" not in job.request.params
    again = home.service.job(job.request)
    assert again.request.prompt == job.request.prompt


def test_the_command_line_takes_names(home: Any) -> None:
    assert home.job(prompt="a fox", params={"styles": {"names": "plain, lines"}}).request.prompt == (
        "a fox, masterpiece, first\nsecond"
    )


def test_an_unknown_style_is_an_error_with_near_ones(home: Any) -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown style 'flim'\. Did you mean 'film'"):
        home.job(params={"styles": {"names": ["flim"]}})


def test_reading_back_finds_the_styles(home: Any) -> None:
    made = home.make(params={"styles": {"names": ["plain", "film"]}})
    fields, _ = home.service.reuse(made.infotexts[0])
    assert fields["params"]["styles"] == {"names": ["plain", "film"]}
    assert fields["prompt"] == "a red circle on a blue background"
    assert home.again(made.infotexts[0]).files == made.files


def test_a_broken_file_is_told_of_when_a_style_is_used(demo: Any, tmp_path: Path) -> None:
    from gesso_builtin.styles.files import choices

    target = demo.service.paths.home / "styles.csv"
    target.write_bytes(b"\xff\xfe\x00")
    try:
        assert choices(demo.service) == []
        assert demo.job().request.prompt
        with pytest.raises(BadFileError, match=r"styles\.csv cannot be read"):
            demo.job(params={"styles": {"names": ["film"]}})
    finally:
        target.unlink()


def test_the_page_offers_them_as_a_list_to_choose_from(home: Any) -> None:
    from gesso import fields
    from gesso_builtin.styles.plugin import Styles
    from gesso_ui.fields import choices_of, control

    ((name, field, info),) = fields(Styles)
    made = control(name, field, info, choices_of(home.service, field, info))
    assert (type(made).__name__, made.multiselect, made.value) == ("Dropdown", True, [])
    assert [value for _, value in made.choices] == ["film", "plain", "lines"]


@pytest.mark.slow
def test_the_command(gesso_home: Path) -> None:
    def run(*arguments: str) -> Any:
        return subprocess.run(
            [sys.executable, "-P", "-m", "gesso", "styles", *arguments], capture_output=True, text=True, timeout=300,
            check=False,
        )  # fmt: skip

    assert "There are no styles" in run("list").stdout
    added = run("add", "film", "--prompt", "film still, {prompt}", "--negative", "drawing")
    assert (added.returncode, added.stdout) == (0, f"film is in {gesso_home / 'styles.csv'}.\n"), added.stderr
    assert '"negative_prompt": "drawing"' in run("list", "--json").stdout
    wrong = run("remove", "flim")
    assert wrong.returncode == 2
    assert wrong.stderr.strip() == "gesso: Unknown style 'flim'. Did you mean 'film'?"
    assert run("remove", "film").returncode == 0
