"""Install the queues that the worker queue is measured beside into `.venv-bench` and node_modules.

They are nobody's dependency: only `make bench-queue` has them installed, each from a lock file with
hashes. Does nothing when they are what the locks say. With `--lock` the Python lock is written
first, from bench/queue/peers.in; pins that still fit are kept.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from tools import lock_dependencies, setup_environment, setup_node

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv-bench"
STAMP = VENV / "setup-stamp"
DECLARED = ROOT / "bench" / "queue" / "peers.in"
LOCK = ROOT / "bench" / "queue" / "peers.lock"
NODE_FOLDER = ROOT / "bench" / "queue" / "node"


def wanted_stamp() -> str:
    """A digest of all that decides what the environment holds."""
    digest = hashlib.sha256(LOCK.read_bytes())
    digest.update(Path(__file__).read_bytes())
    return f"{sys.base_prefix}\n{sys.version}\n{ROOT}\n{digest.hexdigest()}\n"


def install() -> None:
    """Make the environment anew from the lock."""
    shutil.rmtree(VENV, ignore_errors=True)
    environment = setup_environment.clean_environment()
    base = str(Path(sys.base_prefix, "bin", "python3"))
    subprocess.run([base, "-m", "venv", "--without-pip", VENV], check=True, env=environment)
    command = [base, "-m", "pip", "--python", str(VENV / "bin" / "python"), "install", "--quiet"]
    wheels = ["--require-hashes", "--no-deps", "--only-binary", ":all:", "--requirement", str(LOCK)]
    subprocess.run([*command, *wheels], check=True, env=environment)
    STAMP.write_text(wanted_stamp())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lock", action="store_true")
    lock = parser.parse_args().lock
    try:
        if lock:
            lock_dependencies.resolve(
                str(LOCK.relative_to(ROOT)), [str(DECLARED.relative_to(ROOT))], []
            )
        if not STAMP.is_file() or STAMP.read_text() != wanted_stamp():
            print("setup: installing the queues to compare with into .venv-bench", file=sys.stderr)
            install()
        setup_node.bring_up_to_date(NODE_FOLDER, lock=lock)
    except subprocess.CalledProcessError as error:
        print(f"setup: failed (exit code {error.returncode}), see above", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
