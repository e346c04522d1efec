"""What serves changes whole or not at all, is written down, and can be taken back."""

import json
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from pipeline.plan import make_plan
from pipeline.recipe import loads
from serving import audit, releases, versions
from serving.contents import folder_digest


def model(folder: Path, content: str) -> Path:
    (folder / "variables").mkdir(parents=True)
    (folder / "assets.extra").mkdir()
    (folder / "saved_model.pb").write_text(f"graph {content}")
    (folder / "variables" / "variables.index").write_text("index")
    (folder / "variables" / "variables.data-00000-of-00001").write_text(f"weights {content}")
    (folder / "assets.extra" / "model_card.json").write_text("{}")
    return folder


@pytest.fixture
def push(tmp_path):
    """Pushes the model that a letter stands for, as a run does that began when this version served."""

    def _push(letter: str, baseline: str | None = None) -> releases.Pushed:
        source = tmp_path / "models" / letter
        if not source.is_dir():
            model(source, letter)
        served = tmp_path / "shop" / "serving"
        now = str(versions.pointed(served) or "")
        return releases.push(source, served, {"run": letter}, now if baseline is None else baseline)

    return _push


@pytest.fixture
def served(tmp_path, push):
    """Versions 1, 2 and 3 of models a, b and c."""
    for letter in "abc":
        assert push(letter).version is not None
    return tmp_path / "shop" / "serving"


def weights(served: Path) -> str:
    return (versions.current(served) / "variables" / "variables.data-00000-of-00001").read_text()[-1]


def what_serving_is_told(served: Path):
    config = text_format.Parse((served / "models.config").read_text(), ModelServerConfig())
    [one] = config.model_config_list.config
    return dict(one.version_labels), one.model_version_policy.latest.num_versions


def test_a_rollback_serves_the_version_before_under_the_highest_number(served):
    change = releases.rollback(served, "clicks fell")
    assert (change.before, change.to, change.of) == (3, 4, 2)
    assert versions.versions(served) == [1, 2, 3, 4]  # what a server loads that knows no CURRENT is 4
    assert versions.current(served).name == "4" and weights(served) == "b"
    assert versions.record(served / "2")["version"] == 2  # the links share bytes, the records do not
    assert versions.record(served / "4") | {"at": 0} == versions.record(served / "2") | {
        "version": 4,
        "of": 2,
        "at": 0,
    }
    assert (served / "4" / "saved_model.pb").stat().st_ino == (served / "2" / "saved_model.pb").stat().st_ino


def test_rolling_back_again_goes_further_back_and_never_to_what_was_rolled_back_from(served):
    assert [releases.rollback(served, "").of for _ in range(2)] == [2, 1]
    assert weights(served) == "a"
    with pytest.raises(releases.CannotServe, match=r"nothing to roll back to: .* have all files: 1, 2, 3, 4"):
        releases.rollback(served, "")
    assert versions.pointed(served) == 5


def test_a_rollback_undoes_a_promotion(served):
    assert releases.promote(served, 1, "").to == 4
    assert releases.rollback(served, "").of == 3
    assert weights(served) == "c"


def test_the_audit_log_has_pushes_promotions_and_rollbacks(served):
    releases.rollback(served, "clicks “fell”\nby half")
    releases.promote(served, 1, "an old\u2028friend\x85")  # which end lines, but not those of JSON Lines
    found, unreadable = audit.entries(served)
    assert unreadable == []
    told = [(e["what"], e["from"], e["to"], e["model_of"], e["why"]) for e in found]
    assert told == [
        ("push", None, 1, 1, "run a was blessed"),
        ("push", 1, 2, 2, "run b was blessed"),
        ("push", 2, 3, 3, "run c was blessed"),
        ("rollback", 3, 4, 2, "clicks “fell”\nby half"),
        ("promote", 4, 5, 1, "an old\u2028friend\x85"),
    ]
    assert {e["who"] for e in found} == {pwd.getpwuid(os.getuid()).pw_name}
    assert all(e["at"].endswith("+00:00") for e in found)


def test_a_line_that_was_cut_off_is_named_and_spoils_nothing(served):
    with (served / audit.LOG).open("a") as file:
        file.write('{"at": "2026')
    assert releases.rollback(served, "").of == 2
    found, unreadable = audit.entries(served)
    assert unreadable == [4] and [e["to"] for e in found] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "harm, said",
    [
        (lambda v: (v / "saved_model.pb").unlink(), "saved_model.pb is missing or empty"),
        (lambda v: (v / "saved_model.pb").write_bytes(b""), "saved_model.pb is missing or empty"),
        (lambda v: (v / "variables/variables.data-00000-of-00001").unlink(), "are not all there"),
        (lambda v: (v / "variables/variables.index").write_text("idnex"), "not those that were pushed"),
        (lambda v: (v / "assets.extra/model_card.json").unlink(), "not those that were pushed"),
        (lambda v: (v / "assets.extra/push.json").write_text("{"), "push.json is not JSON"),
        (shutil.rmtree, "it is not in"),
    ],
)
def test_a_damaged_version_is_refused_in_words_and_nothing_changes(served, harm, said):
    harm(served / "2")
    log = (served / audit.LOG).read_bytes()
    with pytest.raises(releases.CannotServe, match=f"version 2 cannot serve: .*{said}"):
        releases.promote(served, 2, "")
    with pytest.raises(
        releases.CannotServe, match=f"version 2, which served before 3, .*{said}.*have all files: 1"
    ):
        releases.rollback(served, "")
    assert (served / audit.LOG).read_bytes() == log and weights(served) == "c"
    assert versions.versions(served)[-1] == 3 and not list(served.glob(".part-*"))


def test_a_damaged_version_that_serves_can_be_rolled_back_from(served):
    (served / "3" / "saved_model.pb").unlink()
    said = rf"not a whole model in .*`mtl models promote {served.parent} 2` .*\[1, 2\]"
    with pytest.raises(ValueError, match=said):
        versions.current(served)
    releases.rollback(served, "")
    assert weights(served) == "b"


def test_a_pointer_written_by_hand_counts(served):
    versions.point(served, 2)
    assert releases.rollback(served, "").of == 1
    assert audit.entries(served)[0][-1]["from"] == 2


def test_a_promotion_of_what_a_hand_written_pointer_names_makes_it_the_highest_too(served):
    versions.point(served, 2)
    assert releases.promote(served, 2, "").to == 4
    assert weights(served) == "b" and versions.versions(served)[-1] == 4


def test_versions_from_before_the_log_was_kept(served):
    (served / audit.LOG).unlink()
    assert releases.rollback(served, "").of == 2
    assert releases.rollback(served, "").of == 1


def test_a_rolled_back_model_is_not_pushed_again_and_another_is(served, push):
    releases.rollback(served, "")
    assert push("b") == releases.Pushed()  # serves already, as version 4
    assert push("c") == releases.Pushed(withdrawn=3)
    assert push("d").version.name == "5"


def test_a_run_that_compared_with_another_version_than_serves_now_pushes_nothing(served, push):
    releases.rollback(served, "while a run was at work")
    assert push("d", baseline="3") == releases.Pushed(moved=True)
    assert versions.versions(served) == [1, 2, 3, 4] and weights(served) == "b"


def test_the_next_run_compares_with_the_version_that_was_rolled_back_to(tmp_path, served, smallest_recipe):
    (tmp_path / "log.csv").write_text("user,price,clicked\n1,2.5,0\n")
    recipe = loads(smallest_recipe)

    def plan():
        return make_plan(recipe, tmp_path / "recipe.yaml", tmp_path, tmp_path, "run")

    assert plan().baseline == served / "3"
    releases.rollback(served, "")
    baseline = plan().baseline
    assert baseline == served / "4"
    record = {"assets.extra/push.json"}
    assert folder_digest(baseline, record) == folder_digest(served / "2", record)
    # "nothing to do" follows the model that serves, whatever its number
    note = versions.record(baseline)
    versions.write(
        baseline / "assets.extra/push.json", json.dumps(note | {"fingerprint": plan().fingerprint()})
    )
    assert plan().is_unchanged()
    releases.promote(served, 3, "")
    assert not plan().is_unchanged()


def test_without_a_promotion_both_labels_are_what_serves(served):
    assert what_serving_is_told(served) == ({"stable": 3, "canary": 3}, 2)
    releases.rollback(served, "")
    assert what_serving_is_told(served) == ({"stable": 4, "canary": 4}, 2)


def test_once_promoted_canary_is_what_was_pushed_and_stable_what_a_person_chose(served, push):
    change = releases.promote(served, 3, "known to be well")
    assert (change.before, change.to, change.changed) == (3, 3, True)
    assert not releases.promote(served, 3, "").changed and len(audit.entries(served)[0]) == 4
    assert versions.versions(served) == [1, 2, 3]
    push("d")
    assert what_serving_is_told(served) == ({"stable": 3, "canary": 4}, 3)
    releases.promote(served, 4, "the canary is well")
    assert what_serving_is_told(served) == ({"stable": 4, "canary": 4}, 2)
    push("e")
    push("f")
    assert what_serving_is_told(served) == ({"stable": 4, "canary": 6}, 4)
    releases.rollback(served, "the canary is not well")  # 7 is 5 again
    assert what_serving_is_told(served) == ({"stable": 4, "canary": 7}, 5)
    releases.rollback(served, "neither was the one before")  # 8 is 4 again
    assert what_serving_is_told(served) == ({"stable": 8, "canary": 8}, 2)
    assert not releases.promote(served, 4, "the same model").changed
    releases.rollback(served, "nor was what was stable")
    assert what_serving_is_told(served) == ({"stable": 9, "canary": 9}, 2)


def test_the_policy_makes_room_for_the_next_version_beside_all_that_labels_name(served, push):
    """A server refuses a file that moves a label to a version which is not loaded, so it must load the next
    version by the policy of the file before, and keep what the labels of that file name."""
    releases.promote(served, 3, "")
    for letter in "defghi":
        labels, room = what_serving_is_told(served)
        push(letter) if letter != "g" else releases.rollback(served, "")
        loaded = versions.versions(served)[-room:]
        told, _ = what_serving_is_told(served)
        assert {*labels.values(), *told.values()} <= set(loaded)


def test_labels_do_not_name_a_version_that_is_gone(served, push):
    releases.promote(served, 3, "")
    push("d")
    shutil.rmtree(served / "3")
    push("e")
    assert what_serving_is_told(served)[0] == {"stable": 5, "canary": 5}


KILLED = """
import os, shutil, signal, sys
from serving import releases
served, place, model, baseline = sys.argv[1:]
left = 0
def counted(name):
    whole = getattr(os, name)
    def call(*given, **more):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return whole(*given, **more)
    setattr(os, name, call)
for step in range(500):
    copy = f"{place}/{step}/shop/serving"
    shutil.copytree(served, copy)
    child = os.fork()
    if child == 0:
        left = step
        for name in ("link", "rename", "replace", "write", "fsync", "unlink"):
            counted(name)
        if model:
            releases.push(model, copy, {"run": "killed"}, baseline)
        else:
            releases.rollback(copy, "killed")
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if status == 0:
        sys.exit(0)
    assert os.WTERMSIG(status) == signal.SIGKILL
"""


@pytest.fixture
def killed(tmp_path):
    """Copies of a served folder, in each of which a change was killed one step later than in the one before: a
    push of `source`, or a roll-back."""

    def _killed(served: Path, source: Path | str = "", baseline: str = "") -> list[Path]:
        place = tmp_path / f"killed{len(list(tmp_path.glob('killed*')))}"
        given = [str(served), str(place), str(source), baseline]
        subprocess.run([sys.executable, "-c", KILLED, *given], check=True)
        steps = len(list(place.iterdir())) - 1  # the last one was not killed
        return [place / str(step) / "shop" / "serving" for step in range(steps)]

    return _killed


def test_kill_9_at_any_step_leaves_a_whole_version_serving_and_the_command_finishes_later(served, killed):
    copies = killed(served)
    assert len(copies) > 20
    for copy in copies:
        assert weights(copy) in "bc"
        assert all(releases.damage(copy / str(v)) == "" for v in versions.versions(copy))
        if weights(copy) == "c":
            assert releases.rollback(copy, "again").of == 2
        assert weights(copy) == "b" and versions.pointed(copy) == versions.versions(copy)[-1]
        assert releases.rollback(copy, "").of == 1  # history is what it would have been


def test_kill_9_of_a_push_at_any_step_leaves_what_served_and_the_next_push_goes_through(
    tmp_path, served, killed
):
    new = model(tmp_path / "models" / "d", "d")
    empty = tmp_path / "none" / "serving"
    empty.mkdir(parents=True)
    for before, baseline, copies in (
        ("c", "3", killed(served, new, "3")),
        ("", "", killed(empty, new)),
    ):
        assert len(copies) > 20
        for copy in copies:
            now = weights(copy) if versions.pointed(copy) else ""
            assert now in (before, "d")
            assert all(releases.damage(copy / str(v)) == "" for v in versions.versions(copy))
            again = releases.push(new, copy, {"run": "again"}, str(versions.pointed(copy) or ""))
            assert again.version is not None if now == before else again == releases.Pushed()
            assert weights(copy) == "d" and versions.pointed(copy) == versions.versions(copy)[-1]
            assert releases.damage(versions.current(copy)) == ""
            if baseline:
                assert releases.rollback(copy, "").of == 3
                # it was rolled back from, whatever became of its first push
                assert releases.push(new, copy, {"run": "x"}, str(versions.pointed(copy))).withdrawn


def test_many_at_once_take_turns(served):
    code = (
        "import sys; from serving import releases\n"
        "for _ in range(5): releases.promote(sys.argv[1], int(sys.argv[2]), 'at once')"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, str(served), str(v)]) for v in (1, 2, 1, 2)]
    assert [p.wait() for p in processes] == [0] * 4
    found, unreadable = audit.entries(served)
    assert unreadable == []
    assert all(one["to"] == two["from"] for one, two in zip(found, found[1:], strict=False))
    assert found[-1]["to"] == versions.pointed(served) == versions.versions(served)[-1]
    assert all(releases.damage(served / str(v)) == "" for v in versions.versions(served))


def test_where_there_are_no_hard_links_files_are_copied(served, monkeypatch):
    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr(releases.os, "link", refuse)
    releases.rollback(served, "")
    assert weights(served) == "b"
    assert (served / "4" / "saved_model.pb").stat().st_ino != (served / "2" / "saved_model.pb").stat().st_ino
