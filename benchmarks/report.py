"""What every result file holds besides its numbers: commit, hardware, versions, command."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_NOT_RESULTS = ":!benchmarks/results"


def percentiles(values: Sequence[float], digits: int = 1) -> dict[str, float]:
    """Return p50, p95, p99 and max of `values`."""
    ordered = sorted(values)
    if not ordered:
        return {}
    at = {f"p{q}": ordered[min(len(ordered) - 1, len(ordered) * q // 100)] for q in (50, 95, 99)}
    return {name: round(value, digits) for name, value in (at | {"max": ordered[-1]}).items()}


def circumstances(*packages: str) -> dict[str, Any]:
    """Return where, with what and how this run was made."""
    return {
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "-uno", "--", ".", _NOT_RESULTS)),
        "command": " ".join([Path(sys.executable).name, *sys.orig_argv[1:]]),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_average_before": round(os.getloadavg()[0], 2),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in packages},
    }


def write(name: str, result: dict[str, Any]) -> Path:
    """Write a result under benchmarks/results/ and return its path."""
    path = ROOT / "benchmarks" / "results" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
    return path


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        return platform.processor()
    lines = cpuinfo.read_text().splitlines()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())
