"""cron: a script that runs the recipe once, and the line of a crontab that calls it."""

from __future__ import annotations

import shlex

from pipeline.schedule.job import REFUSED, Job

BUSY = 75  # EX_TEMPFAIL of sysexits.h


def files(job: Job, folder: str) -> dict[str, str]:
    """Name → content, of files in `folder` (absolute)."""
    script = f"{folder}/run-{job.name}.sh"
    logs = job.output / job.name / "schedule"
    secrets = "".join(f"#   {name}=...\n" for name in job.secrets)
    return {
        f"run-{job.name}.sh": f"""#!/bin/sh
# Written by `mtl schedule cron`: one run of {job.name}, with a log of its own.
# It prints nothing after a good run, so that cron mails nothing. Exit code: that of `mtl run`;
# {BUSY}: the run before is still at work.
umask 022
environment={shlex.quote(f"{folder}/{job.name}.env")}
logs={shlex.quote(str(logs))}
mkdir -p "$logs" || exit 1
log="$logs/$(date -u +%Y%m%dT%H%M%SZ).log"
if [ -r "$environment" ]; then
  set -a
  . "$environment"
  set +a
fi
flock --nonblock --conflict-exit-code {BUSY} "$logs/lock" \\
  {job.command} >"$log" 2>&1
code=$?
case $code in
  0) exit 0 ;;
  {REFUSED}) echo "{job.name}: refused: the model that serves goes on serving" ;;
  {BUSY}) echo "{job.name}: the run before is still at work, and this one was left out" ;;
  *) echo "{job.name}: failed with exit code $code" ;;
esac
echo "$log ends:"
tail -n 20 "$log"
exit $code
""",
        f"{job.name}.cron": f"""# Written by `mtl schedule cron`; add its last line to a crontab (crontab -e).
# cron takes times in the machine's zone, and mails what is printed to MAILTO.
{job.times.text} {shlex.quote(script).replace("%", chr(92) + "%")}
""",
        **(
            {
                f"{job.name}.env.example": "# What the run needs and no file here may hold: copy to "
                f"{job.name}.env, fill in, chmod 600.\n{secrets}"
            }
            if secrets
            else {}
        ),
    }
