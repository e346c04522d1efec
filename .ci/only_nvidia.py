"""Prints the blocks of a lock that `tensorflow[and-cuda]` adds: NVIDIA's libraries, for Linux x86-64."""

import sys

print("# The CUDA libraries of tensorflow[and-cuda], on top of requirements.lock; made by: make lock")
keep = False
for line in open(sys.argv[1], encoding="utf-8"):
    if line[:1].isalnum():
        keep = line.startswith("nvidia-")
        line = f"{line.split()[0]} ; sys_platform == 'linux' and platform_machine == 'x86_64' \\\n"
    elif not line.startswith("    --hash"):
        continue
    if keep:
        sys.stdout.write(line)
