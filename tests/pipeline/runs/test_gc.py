"""What `mtl runs gc` keeps and deletes, and that no kill of it leaves anything half there."""

import errno
import os
import shutil
import subprocess
import sys
import threading

import pytest
from click.testing import CliRunner
from ml_metadata.proto import metadata_store_pb2 as mlmd

from pipeline.cli import mtl
from pipeline.only_one import only_one
from pipeline.runs.gc import collect
from pipeline.runs.needed import needed, run_names
from pipeline.spans.store import SpanStore, Version
from serving import releases, versions

DAYS = [f"2026110{day}T020000Z" for day in range(1, 9)]
LIVE, DELETED = mlmd.Artifact.LIVE, mlmd.Artifact.DELETED


def run(*given):
    return CliRunner().invoke(mtl, ["runs", *map(str, given)])


def folders(home):
    return {
        str(p.relative_to(home / "artifacts"))
        for p in (home / "artifacts").glob("[!.]*/*/*")
        if p.parent.name[0] != "."
    }


def test_the_last_runs_and_what_serves_stay_whole(home, states):
    found = run("gc", home, "--keep", "2")
    assert found.exit_code == 0 and "nothing to delete" not in found.output
    # 3 serves and a roll-back would serve 2: the runs of days 2 and 4 made them
    assert run_names(home) == [DAYS[1], DAYS[3], DAYS[6], DAYS[7]]
    assert versions.versions(home / "serving") == [2, 3]
    kept = {f"Ingest/examples/{n}" for n in (2, 4, 7, 8)} | {f"Trainer/model/{n}" for n in (2, 4, 8)}
    assert folders(home) == kept
    assert {path for path, state in states(home).items() if state == LIVE} == kept
    assert not (home / "artifacts/Trainer/.system/executor_execution/7").exists()
    assert not list(home.glob(".gone-*")) + list((home / "serving").glob(".gone-*"))
    assert "nothing to delete; keeps 4 runs and 2 versions" in run("gc", home, "--keep", "2").output


def test_what_a_kept_run_took_from_the_cache_stays(home, states):
    run("gc", home, "--keep", "3")  # of days 6, 7 and 8; day 6 has the examples of day 5
    assert DAYS[4] not in run_names(home)
    assert (
        states(home)["Ingest/examples/5"] == LIVE and (home / "artifacts/Ingest/examples/5/content").is_file()
    )
    assert states(home)["Trainer/model/5"] == DELETED


@pytest.mark.parametrize(
    ("recipe", "kept"), [("spans: {window: 2}", (3, 4, 5)), ("spans: null", (1, 3, 4, 5))]
)
def test_the_spans_that_the_next_run_trains_on_stay_whichever_run_ingested_them(home, recipe, kept):
    store = SpanStore(home)
    for day in (1, 3, 4, 5):
        for version in (1, 2):
            number = day - (version == 1)
            made = (f"artifacts/{what}/{number}" for what in ("Ingest/examples", "Trainer/model"))
            store.add(f"2026-11-0{day}", Version(version, "content", "made", *made, DAYS[day], 9, 1, {}, {}))
    for name in DAYS[:7]:
        (home / "runs" / name / "recipe.yaml").write_text(recipe)
    (home / "runs" / DAYS[7] / "recipe.yaml").unlink()  # as it is where a run is cut off at its start
    run("gc", home, "--keep", "1")
    assert DAYS[5] not in run_names(home)
    days = {2, 4, 8, *kept}  # 2 and 4 made versions that stay, and 8 is the last
    both = {f"Ingest/examples/{n}" for n in days} | {f"Trainer/model/{n}" for n in days}
    assert folders(home) == both


def test_a_dry_run_says_the_same_and_touches_nothing(home):
    before = sorted(home.rglob("*"))
    told = run("gc", home.parent, "--keep", "2", "--dry-run")
    assert sorted(home.rglob("*")) == before
    assert (
        "would delete" in told.output and "1 versions" in told.output and "3 Ingest, 5 Trainer" in told.output
    )
    used = sum(os.stat(p).st_blocks * 512 for p in home.rglob("*") if p.is_file() and not p.is_symlink())
    done = run("gc", home.parent, "--keep", "2")
    assert done.output == told.output.replace("would delete", "deletes")
    left = sum(os.stat(p).st_blocks * 512 for p in home.rglob("*") if p.is_file() and not p.is_symlink())
    said = float(told.output.split("would delete ")[1].split(" kB")[0]) * 1000
    assert abs(used - left - said) < 25_000  # the metadata and the configuration of servers change in size


def test_a_run_that_is_linked_to_keeps_what_metadata_say_nothing_of(home):
    other = home / "artifacts/Transform/transform_graph/99"
    other.mkdir(parents=True)
    stray = home / "artifacts/Transform/transform_graph/98"
    stray.mkdir()
    (home / "runs" / DAYS[7] / "transform_graph").symlink_to(os.path.relpath(other, home / "runs" / DAYS[7]))
    run("gc", home, "--keep", "2")
    assert other.is_dir() and not stray.exists()


def test_a_rolled_back_version_s_files_stay(home):
    releases.rollback(home / "serving", "it was bad")  # publishes 2 again as 4
    run("gc", home, "--keep", "1")
    assert versions.versions(home / "serving") == [1, 4]  # the next roll-back would serve 1
    assert releases.damage(home / "serving" / "4") == ""
    assert releases.rollback(home / "serving", "so was that").of == 1


def test_a_version_with_a_label_and_one_put_there_by_hand_stay(home):
    releases.promote(home / "serving", 1, "the good one")  # again as 4; stable
    shutil.copytree(home / "serving" / "2", home / "serving" / "5")
    (home / "serving/5/assets.extra/push.json").unlink()
    reasons = needed(home, 1).versions
    assert reasons[4] == "serves" and 5 in reasons
    (home / "serving" / "CURRENT").unlink()
    assert set(needed(home, 1).versions) == {1, 2, 3, 4, 5}  # who knows which of them a server has loaded


def test_beside_a_run_nothing_is_touched(home):
    before = sorted(home.rglob("*"))
    with only_one(home, "run"):
        found = run("gc", home, "--keep", "1")
    assert found.exit_code == 1 and "nothing was deleted: another run (process" in found.output
    assert sorted(home.rglob("*")) == before


def test_what_a_roll_back_beside_it_writes_is_not_taken_for_cut_off(home):
    served, cut_off = home / "serving", home / "serving/.part-cut-off"
    cut_off.mkdir()
    collecting = threading.Thread(target=collect, args=(home, 2, lambda found: None))
    with releases._alone(served):
        shutil.copytree(served / "2", served / ".part-at-work")
        collecting.start()
        collecting.join(1)
        os.rename(served / ".part-at-work", served / "4")
    collecting.join()
    assert releases.damage(served / "4") == "" and versions.versions(served) == [2, 3, 4]
    assert not cut_off.exists()


def test_artifacts_on_another_disk_go_too(home, tmp_path, states, monkeypatch):
    bucket = tmp_path / "bucket"
    (home / "artifacts").rename(bucket)
    (home / "artifacts").symlink_to(bucket)
    rename = os.rename

    def of_one_disk(source, target):
        inside = {os.path.realpath(path).startswith(f"{bucket}/") for path in (source, target)}
        if len(inside) == 2:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(source, target)

    monkeypatch.setattr(os, "rename", of_one_disk)
    assert run("gc", home, "--keep", "2").exit_code == 0
    kept = {f"Ingest/examples/{n}" for n in (2, 4, 7, 8)} | {f"Trainer/model/{n}" for n in (2, 4, 8)}
    assert folders(home) == kept and run_names(home) == [DAYS[1], DAYS[3], DAYS[6], DAYS[7]]
    assert {path for path, state in states(home).items() if state == LIVE} == kept
    assert not list(bucket.glob(".gone-*")) + list(home.glob(".gone-*"))


def test_a_folder_without_runs_is_refused(tmp_path):
    found = run("gc", tmp_path)
    assert found.exit_code == 2 and "there are no runs below" in found.output


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from ml_metadata.metadata_store import metadata_store  # once, and not in each child
from pipeline.runs import gc
home, place = sys.argv[1:]
left = 0
def counted(module, name):
    whole = getattr(module, name)
    def call(*given, **more):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return whole(*given, **more)
    setattr(module, name, call)
for step in range(500):
    copy = Path(place, str(step), "artifacts-of", "shop")
    shutil.copytree(home, copy, symlinks=True)
    child = os.fork()
    if child == 0:
        left = step
        for name in ("rename", "replace", "mkdir", "rmdir", "unlink"):
            counted(os, name)
        counted(gc.Artifacts, "mark_deleted")
        gc.collect(copy, 2, lambda found: None)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if status == 0:
        sys.exit(0)
    assert os.WTERMSIG(status) == signal.SIGKILL
"""


@pytest.fixture
def killed(home, tmp_path):
    """Copies of the folder, each after a gc that was killed one step later than that of the copy before."""
    place = tmp_path / "killed"
    subprocess.run([sys.executable, "-c", KILLED, str(home), str(place)], check=True)
    return [place / str(n) / "artifacts-of" / "shop" for n in range(len(list(place.iterdir())))]


def test_kill_9_at_any_step_leaves_every_artifact_whole_or_out_of_use(killed, states):
    assert len(killed) > 20
    wanted = folders(killed[-1])  # that one was not killed
    for home in killed:
        for path, state in states(home).items():
            folder = home / "artifacts" / path
            if state == LIVE:
                assert (folder / "content").stat().st_size == 10_000
        for version in versions.versions(home / "serving"):
            assert releases.damage(home / "serving" / str(version)) == ""
        collect(home, 2, lambda found: None)  # finishes what was begun
        assert folders(home) == wanted and not list(home.rglob(".gone-*"))
        assert run_names(home) == [DAYS[1], DAYS[3], DAYS[6], DAYS[7]]


def test_list_says_how_each_run_ended_and_why_it_stays(home):
    found = run("list", home.parent, "--keep", "2").output
    lines = {line.split()[0]: line for line in found.splitlines()[2:]}
    assert "pushed" in lines[DAYS[0]] and lines[DAYS[0]].rstrip().endswith("no")
    assert "made version 2, which a roll-back would serve" in lines[DAYS[1]]
    assert "made version 3, which serves" in lines[DAYS[3]]
    assert "cut off" in lines[DAYS[6]] and "one of the last 2" in lines[DAYS[7]]
    with only_one(home, "run"):
        assert "at work" not in run("list", home).output.splitlines()[-2]
        shutil.rmtree(home / "runs" / DAYS[7] / "report")
        assert "at work" in run("list", home).output.splitlines()[-1]


def test_show_says_what_a_run_s_steps_left(home):
    found = run("show", home / "latest").output
    assert "refused" in found and "one of the last 10" in found
    assert f"{home / 'artifacts/Ingest/examples/8'}" in found and "2.0" in found
    shared = next(
        line for line in run("show", home / "runs" / DAYS[5]).output.splitlines() if "examples/5" in line
    )
    assert " 2  " in shared
    cut = run("show", home / "runs" / DAYS[6]).output
    assert "cut off" in cut.splitlines()[0] and "kB, cut off" in cut
    assert run("show", home).exit_code == 2
