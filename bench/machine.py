"""The machine on which the figures were measured."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path


def describe() -> str:
    """Processor, load, kernel, and the versions of the programs that matter."""
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    return "\n".join(
        (
            f"cpu        {_cpu()}, {os.cpu_count()} cores, load {load}",
            f"kernel     {platform.release()} {platform.machine()}",
            f"openssh    {_version('ssh', '-V')}",
            f"gocryptfs  {_version('gocryptfs', '-version')}",
            f"bwrap      {_version('bwrap', '--version')}",
            f"python     {platform.python_version()}",
        )
    )


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _version(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return (done.stdout + done.stderr).splitlines()[0]
