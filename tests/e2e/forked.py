"""A process that has TFX imported, and forks one for each run that it is told of.

Run as a script: a line of JSON in says which run, and at which moment it is killed; a line out says what became
of it. Importing starts no thread of TensorFlow's: the forked process starts its own.
"""

import contextlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

_COUNTED = ("replace", "rename", "symlink", "mkdir", "unlink")


class Forks:
    """Starts the process, and asks it for runs.

    Args:
      root: of the repository.
      log: a file that everything a run prints is added to.
    """

    def __init__(self, root: Path, log: Path):
        self._log = log
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(root), "TF_CPP_MIN_LOG_LEVEL": "3"},
        )

    def run(self, *given: Any, kill: dict | None = None, memory: dict | None = None, **options: Any) -> dict:
        """Calls `pipeline.run.run` in a process of its own.

        Args:
          given, options: of `run`.
          kill: one of `{"seconds": s}` after its start; `{"before": step}`; `{"after": step}`; `{"step": step,
            "seconds": s}` after the step's start; `{"calls": n}`, at the n-th change of the file system after the
            last step, or, with `"step"`, from that one's start on.
          memory: `{"step": step, "more": bytes}` that it may take from the step's start on.

        Returns:
          `pid`; `code` of exit, or `signal`; `steps`, those that ended, in order, with their seconds; `said`, what
          it told a person; `lingered`, the seconds that processes of its own outlived it.
        """
        begin = self._log.stat().st_size if self._log.exists() else 0
        asked = {
            "given": [*map(_plain, given)],
            "options": options,
            "kill": kill or {},
            "memory": memory or {},
        }
        print(json.dumps(asked | {"log": str(self._log)}), file=self._process.stdin, flush=True)
        answer = json.loads(self._process.stdout.readline())
        with self._log.open("rb") as file:
            file.seek(begin)
            return answer | {"said": file.read().decode(errors="replace")}

    def end(self) -> None:
        self._process.stdin.close()
        self._process.wait()


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _serve() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    import pipeline.outcome
    import pipeline.pipeline
    import pipeline.preprocessing
    import pipeline.report.write
    import pipeline.runners.local
    import pipeline.trainer
    import pipeline.tuned  # noqa: F401

    for line in sys.stdin:
        print(json.dumps(_forked(json.loads(line))), file=answers, flush=True)


def _forked(asked: dict) -> dict:
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        os._exit(_child(asked, theirs))
    os.close(theirs)
    with contextlib.suppress(PermissionError):
        os.setpgid(child, child)
    steps = _followed(child, ours, asked["kill"])
    os.close(ours)
    status = os.waitpid(child, 0)[1]
    killed = os.WIFSIGNALED(status)
    return {
        "pid": child,
        "code": None if killed else os.WEXITSTATUS(status),
        "signal": os.WTERMSIG(status) if killed else 0,
        "steps": steps,
        "lingered": _lingered(child),
    }


def _followed(child: int, events: int, kill: dict) -> dict[str, float]:
    """The steps that ended, with their seconds; kills the child where the moment is a time."""
    begun, steps, rest = {}, {}, ""
    at = time.monotonic() + kill["seconds"] if set(kill) == {"seconds"} else None
    while True:
        wait = None if at is None else max(0.0, at - time.monotonic())
        if not select.select([events], [], [], wait)[0]:
            os.kill(child, signal.SIGKILL)
            at = None
            continue
        got = os.read(events, 65536).decode()
        if not got:
            return steps
        *lines, rest = (rest + got).split("\n")
        for what, name in (line.split(" ", 1) for line in lines):
            now = time.monotonic()
            if what == "start":
                begun[name] = now
                if kill.get("step") == name and "seconds" in kill:
                    at = now + kill["seconds"]
            else:
                steps[name] = now - begun[name]


def _lingered(group: int) -> float:
    begin = time.monotonic()
    while time.monotonic() - begin < 60:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return time.monotonic() - begin
        time.sleep(0.05)
    os.killpg(group, signal.SIGKILL)
    return float("inf")


def _child(asked: dict, events: int) -> int:
    os.setpgid(0, 0)
    with open(asked["log"], "ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    from pipeline.run import run
    from pipeline.runners import local

    kill, memory = asked["kill"], asked["memory"]
    launch = local.launcher.Launcher.launch

    def told(launcher: Any) -> Any:
        name = launcher._pipeline_node.node_info.id
        if kill.get("before") == name:
            _die()
        os.write(events, f"start {name}\n".encode())
        if kill.get("step") == name and "calls" in kill:
            _die_at(kill["calls"])
        if memory.get("step") == name:
            held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (held + memory["more"], resource.RLIM_INFINITY))
        found = launch(launcher)
        os.write(events, f"end {name}\n".encode())
        if kill.get("after") == name:
            _die()
        if name == "Push" and set(kill) == {"calls"}:
            _die_at(kill["calls"])
        return found

    local.launcher.Launcher.launch = told
    try:
        recipe, data, output, settings = asked["given"]
        return run(Path(recipe), Path(data), Path(output), settings, **asked["options"])
    except Exception as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        return 99


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_at(calls: int) -> None:
    left = calls

    def counted(name: str) -> None:
        whole = getattr(os, name)

        def call(*given: Any, **more: Any) -> Any:
            nonlocal left
            if left == 0:
                _die()
            left -= 1
            return whole(*given, **more)

        setattr(os, name, call)

    for name in _COUNTED:
        counted(name)


if __name__ == "__main__":
    _serve()
