"""systemd: a service that runs the recipe once, and the timer that starts it."""

from __future__ import annotations

from pipeline.schedule.job import BAD_DATA, BAD_RECIPE, REFUSED, Job


def files(job: Job, folder: str) -> dict[str, str]:
    """Name → content, of files in `folder` (absolute)."""
    secrets, place = ", ".join(job.secrets), folder.replace("%", "%%")
    command = " ".join(_quoted(part) for part in [job.python, "-m", "pipeline", *job.arguments()])
    return {
        f"mtl-{job.name}.service": f"""# Written by `mtl schedule systemd`.
# A service never runs twice at once: a run that takes longer than its timer's step leaves the next one out.
[Unit]
Description=mtl run of {job.name}
# a run that was killed goes on from what it had finished; three times, then a person is needed
StartLimitIntervalSec=6h
StartLimitBurst=3

[Service]
Type=oneshot
ExecStart={command}
WorkingDirectory={place}
# {f"needs {secrets}" if secrets else "for variables that the run needs"}; chmod 600
EnvironmentFile=-{place}/{job.name}.env
UMask=0022
# {REFUSED}: a gate refused the new model, and the one before goes on serving: no failure of the service
SuccessExitStatus={REFUSED}
Restart=on-failure
RestartSec=10min
# again, these would end alike: {BAD_RECIPE} the recipe is wrong, {BAD_DATA} the data cannot be used
RestartPreventExitStatus={BAD_RECIPE} {BAD_DATA}
""",
        f"mtl-{job.name}.timer": f"""# Written by `mtl schedule systemd`. For the user who runs it:
#   mkdir -p ~/.config/systemd/user && cp mtl-{job.name}.* ~/.config/systemd/user/
#   systemctl --user daemon-reload && systemctl --user enable --now mtl-{job.name}.timer
#   loginctl enable-linger                   # also while nobody is logged in
# journalctl --user -u mtl-{job.name} has what runs print.
[Unit]
Description=When mtl runs {job.name}

[Timer]
OnCalendar={job.times.calendar}
# a run that was due while the machine was off is made up for
Persistent=true

[Install]
WantedBy=timers.target
""",
    }


def _quoted(text: str) -> str:
    """As systemd.service(5) reads it."""
    text = text.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$")
    return '"' + text.replace('"', '\\"') + '"' if set(text) & set(" \"';") else text
