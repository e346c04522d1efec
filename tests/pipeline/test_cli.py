"""The command: what it imports, says and returns before anything heavy begins."""

import re
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from pipeline.__main__ import main
from pipeline.cli import mtl

# --input of files and folders alike, and places that may be a bucket's
DIFFERENT = {("predict",), ("schedule",)}
HEAVY = ("numpy", "pandas", "pyarrow", "keras", "tensorflow", "tfx", "apache_beam", "pydantic")


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments], capture_output=True, text=True, check=False
    )


def test_help_imports_nothing_heavy():
    code = f"import sys, pipeline.cli; print([m for m in {HEAVY} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def commands(
    group: click.Group = mtl, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


@pytest.mark.parametrize(("path", "command"), [pytest.param(*c, id=" ".join(c[0])) for c in commands()])
def test_every_command_has_help_with_examples_and_a_line_in_the_list(path, command):
    found = CliRunner().invoke(mtl, [*path, "--help"])
    assert found.exit_code == 0 and "Usage:" in found.output
    examples = found.output.partition("Examples:\n")[2].strip().splitlines()
    assert any(line.strip().startswith(f"mtl {' '.join(path)}") for line in examples)
    assert all(option.help for option in command.params if isinstance(option, click.Option))
    listed = CliRunner().invoke(mtl, [*path[:-1], "--help"], terminal_width=80).output
    assert re.search(rf"^  {path[-1]} +[A-Z].*\.$", listed, re.M), "cut off where commands are listed"


@pytest.mark.parametrize("option", ["--set", "--output", "--input"])
def test_an_option_of_several_commands_is_the_same_in_all(option):
    named = [(path, o) for path, c in commands() for o in c.params if option in o.opts]
    assert len({(o.name, type(o.type)) for path, o in named if path not in DIFFERENT}) == 1
    assert all("-s" in o.opts for _, o in named) or option != "--set"


def test_check_and_show(root):
    recipe = str(root / "data/census/recipe.yaml")
    fine = run("recipe", "check", recipe)
    assert fine.returncode == 0 and "2 tasks (income, never_married)" in fine.stdout
    shown = run("recipe", "show", recipe, "--set", "training.epochs=1")
    assert shown.returncode == 0 and "epochs: 1" in shown.stdout and "patience: 2" in shown.stdout


def test_a_wrong_recipe_exits_2_and_says_where(root, tmp_path):
    text = (root / "data/census/recipe.yaml").read_text().replace("kind: binary", "kind: binry", 1)
    (tmp_path / "recipe.yaml").write_text(text)
    for command in (("recipe", "check"), ("run",)):
        found = run(*command, str(tmp_path / "recipe.yaml"))
        assert found.returncode == 2
        assert "tasks.income.kind (line " in found.stderr and "did you mean 'binary'" in found.stderr
        assert "Traceback" not in found.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "nowhere.yaml"),
        ("run",),
        ("nonsense",),
        ("data", "demo", "--out", "x", "--rows", "0"),
        ("predict", "--model", "nowhere", "--input", "nothing.jsonl"),
        ("report", "nowhere"),
        ("evaluate", "nowhere.yaml", "--model", ".", "--input", "."),
    ],
)
def test_bad_arguments_exit_2(arguments):
    found = CliRunner().invoke(mtl, list(arguments))
    assert found.exit_code == 2 and "Error" in found.output


def test_input_folder_that_is_not_there(root):
    found = CliRunner().invoke(mtl, ["run", str(root / "data/census/recipe.yaml"), "--input", "nowhere"])
    assert found.exit_code == 2 and "'--input': Directory 'nowhere' does not exist" in found.output


def test_report_of_something_else(tmp_path):
    found = CliRunner().invoke(mtl, ["report", str(tmp_path)])
    assert found.exit_code == 2 and "is neither a run" in found.output


def test_inputs_that_are_missing_exit_4_and_leave_a_report(root, tmp_path):
    (tmp_path / "empty").mkdir()
    found = run(
        "run",
        str(root / "data/census/recipe.yaml"),
        "--input",
        str(tmp_path / "empty"),
        "--output",
        str(tmp_path / "out"),
    )
    assert found.returncode == 4
    assert "census-income.data.bz2" in found.stdout
    assert (tmp_path / "out/census/latest/report/index.html").is_file()


def test_two_runs_in_one_folder(root, tmp_path):
    from pipeline.only_one import Busy, only_one
    from pipeline.run import run as run_recipe

    (tmp_path / "census").mkdir()
    with only_one(tmp_path / "census", "run"), pytest.raises(Busy, match="another run"):
        run_recipe(root / "data/census/recipe.yaml", tmp_path, tmp_path)


def test_ctrl_c_while_the_commands_are_imported_ends_without_a_traceback(monkeypatch, capsys):
    class Interrupted:
        """Ctrl-C as `pipeline.cli` is looked for."""

        def find_spec(self, name, path, target=None):
            if name == "pipeline.cli":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "pipeline.cli", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Interrupted(), *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130 and capsys.readouterr() == ("", "")
