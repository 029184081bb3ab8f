#!/usr/bin/env python3
"""Runs the contract suites against a fresh stack, and stops it again.

The suites are black-box tests that come with the contracts, beside this checkout (`../shared/conformance`) or wherever
`--suite` says. The stack has a data directory and ports of its own, so it disturbs no other.

    scripts/conformance.py                                  # test_builders.py
    scripts/conformance.py -- test_builders.py -k create    # what pytest is to run

Needs Python 3.8 with pip, and what `make setup` fetches.
"""

import argparse
import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".imago"
SHARED = ROOT.parent / "shared"
DEFAULT_TESTS = ["test_builders.py"]
WEBHOOK_BACKOFF = "1,2,3"
READY_SECONDS = 180
STOP_SECONDS = 60
PORTS_OF_A_STACK = 10
# Offsets from IMAGO_PORT_BASE, under the names that the suites read.
ADDRESSES = {
    "IMAGO_PUBLIC_URL": 0,
    "AGENT_BUILDER_URL": 1,
    "SKILL_BUILDER_URL": 2,
    "KNOWLEDGE_BUILDER_URL": 3,
    "TASK_ROUTER_URL": 4,
    "CHAT_URL": 5,
    "CONTROL_PLANE_URL": 6,
    "CAXTON_URL": 8,
    "METRICS_URL": 9,
}


class Failure(Exception):
    """Something the user has to know; shown without a traceback."""


def say(text):
    print("conformance: " + text, flush=True)


# The program and the suites


def build(profile):
    """Builds the imago binary and returns its path."""
    command = ["cargo", "build", "--locked", "--profile", profile, "-p", "imago", "--message-format=json-render-diagnostics"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise Failure("the imago binary does not build")
    for line in done.stdout.splitlines():
        message = json.loads(line)
        if message.get("reason") == "compiler-artifact" and message["target"]["name"] == "imago" and message.get("executable"):
            return Path(message["executable"])
    raise Failure("cargo built no imago binary")


def suite_environment(suite):
    """What the suites' Python needs: nothing if its packages are there, else a path with them."""
    requirements = suite / "requirements.txt"
    if subprocess.run([sys.executable, "-c", "import pytest, requests"], capture_output=True, check=False).returncode == 0:
        return {}
    packages = HOME / "conformance-packages"
    if not (packages / "complete").exists():
        say("installing the suites' packages into " + str(packages.relative_to(ROOT)))
        shutil.rmtree(packages, ignore_errors=True)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(packages), "-r", str(requirements)]
        environment = dict(os.environ, PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_ROOT_USER_ACTION="ignore")
        if subprocess.run(command, env=environment, check=False).returncode != 0:
            raise Failure("pip could not install what {} lists".format(requirements))
        (packages / "complete").touch()
    return {"PYTHONPATH": str(packages)}


# The stack


def free_ports():
    """The first of ten free ports in a row."""
    for base in range(20000 + os.getpid() % 1000 * 10, 60000, PORTS_OF_A_STACK):
        with contextlib.ExitStack() as stack:
            try:
                for port in range(base, base + PORTS_OF_A_STACK):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return base
    raise Failure("no ten free ports in a row")


def is_ready(url):
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url + "/ready", timeout=3) as answer:
            return answer.status == 200
    except (OSError, urllib.error.URLError):
        return False


def living():
    """The parent of every process that has not ended."""
    if not Path("/proc/self/stat").exists():
        listing = subprocess.run(["ps", "-Ao", "pid=,ppid=,stat="], capture_output=True, text=True, check=True).stdout
        rows = [line.split() for line in listing.splitlines()]
        return {int(pid): int(parent) for pid, parent, state in rows if not state.startswith("Z")}
    found = {}
    for entry in Path("/proc").iterdir():
        # A process may end while we look at it.
        with contextlib.suppress(OSError, ValueError):
            stat = (entry / "stat").read_text(encoding="utf-8", errors="replace") if entry.name.isdigit() else ""
            # The name, in brackets, may contain anything.
            state, parent = stat.rpartition(")")[2].split()[:2]
            if state != "Z":
                found[int(entry.name)] = int(parent)
    return found


def descendants(pid):
    """All processes below one."""
    parents = living()
    found, fresh = [], [pid]
    while fresh:
        fresh = [child for child, parent in parents.items() if parent in fresh]
        found += fresh
    return found


def runs(pid):
    return pid in living()


class Stack:
    """One `imago up`, described by a file so that the restart command finds it."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.file = self.directory / "stack.json"
        self.state = json.loads(self.file.read_text(encoding="utf-8")) if self.file.exists() else {}

    def save(self):
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps(self.state), encoding="utf-8")
        new.replace(self.file)

    def describe(self, binary, base):
        # Only what the server is meant to see: it refuses IMAGO_* names that it does not know.
        keep = {name: value for name, value in os.environ.items() if not name.startswith("IMAGO_") and name != "DATABASE_URL"}
        keep.update(
            IMAGO_DATA_DIR=str(self.directory / "data"),
            IMAGO_PORT_BASE=str(base),
            AINS_WEBHOOK_BACKOFF_SECONDS=WEBHOOK_BACKOFF,
        )
        self.state = {"binary": str(binary), "base": base, "environment": keep}
        self.save()

    @property
    def public(self):
        return "http://127.0.0.1:{}".format(self.state["base"])

    @property
    def log(self):
        return self.directory / "imago-up.log"

    def start(self):
        """Starts the server; it outlives this process."""
        with open(self.log, "ab") as log:
            process = subprocess.Popen(
                [self.state["binary"], "up"],
                cwd=ROOT,
                env=self.state["environment"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.state["pid"] = process.pid
        self.save()
        return process

    def wait_until_ready(self, process):
        deadline = time.monotonic() + READY_SECONDS
        while not is_ready(self.public):
            if process.poll() is not None:
                raise Failure("imago ended with {} instead of starting:\n{}".format(process.returncode, self.tail()))
            if time.monotonic() > deadline:
                raise Failure("imago is not ready after {} s:\n{}".format(READY_SECONDS, self.tail()))
            time.sleep(0.1)

    def kill(self):
        """SIGKILL to the server and everything below it, as if the machine had lost power."""
        pid = self.state["pid"]
        for process in [pid, *descendants(pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        while runs(pid):
            time.sleep(0.02)

    def stop(self):
        """Asks the server to stop. Returns a complaint, or None when all is gone as it should be."""
        pid = self.state.get("pid")
        if pid is None or not runs(pid):
            return "imago had ended by itself:\n" + self.tail()
        below = descendants(pid)
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while runs(pid) and time.monotonic() < deadline:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
            time.sleep(0.05)
        if runs(pid):
            self.kill()
            return "imago did not stop within {} s of SIGTERM:\n{}".format(STOP_SECONDS, self.tail())
        left = [process for process in below if runs(process)]
        return "imago left processes behind: {}".format(left) if left else None

    def imago(self, *arguments):
        """Runs another command against the stack and returns what it printed."""
        command = [self.state["binary"], *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.state["environment"], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Failure("imago {} failed: {}".format(" ".join(arguments), (done.stderr or done.stdout).strip()))
        return done.stdout

    def variables(self):
        """What `imago env` says, over what the ports imply."""
        base = self.state["base"]
        found = {name: "http://127.0.0.1:{}".format(base + offset) for name, offset in ADDRESSES.items()}
        for word in shlex.split(self.imago("env")):
            name, equals, value = word.partition("=")
            if equals:
                found[name] = value
        return found

    def tail(self, lines=30):
        logs = [log for log in (self.log, self.directory / "data" / "imago.log") if log.exists()]
        texts = [log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:] for log in logs]
        return "\n".join(line for text in texts for line in text)


# The run


def test(options, stack):
    started = time.monotonic()
    binary = options.imago.resolve() if options.imago else build(options.profile)
    packages = suite_environment(options.suite)
    stack.describe(binary, free_ports())
    say("starting {} on {}".format(binary, stack.public))
    stack.wait_until_ready(stack.start())
    if options.esco:
        began = time.monotonic()
        stack.imago("import", "esco", str(options.esco))
        say("imported {} in {:.1f} s".format(options.esco.name, time.monotonic() - began))
    environment = dict(os.environ, **stack.variables(), **packages)
    environment.update(
        IMAGO_REQUIRE_SERVER="1",
        IMAGO_BIN=str(binary),
        IMAGO_WEBHOOK_BACKOFF=WEBHOOK_BACKOFF,
        IMAGO_RESTART_CMD=shlex.join([sys.executable, str(Path(__file__).resolve()), "--restart", str(stack.directory)]),
        PYTHONDONTWRITEBYTECODE="1",
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *(options.pytest or DEFAULT_TESTS)]
    say("prepared in {:.1f} s; running {}".format(time.monotonic() - started, shlex.join(command[1:])))
    return subprocess.run(command, cwd=options.suite, env=environment, check=False).returncode


def run(options):
    if not (options.suite / "conftest.py").is_file():
        raise Failure("no suites in {}; name their directory with --suite".format(options.suite))
    HOME.mkdir(exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="conformance-", dir=HOME))
    directory.chmod(0o755)
    stack = Stack(directory)
    code = 1
    try:
        code = test(options, stack)
    finally:
        # The restart command may have started another process since.
        stack = Stack(directory)
        complaint = stack.stop() if "pid" in stack.state else None
        if complaint:
            say(complaint)
            code = code or 1
        if code and stack.log.exists():
            say("the end of the log:\n" + stack.tail())
        if options.keep:
            say("kept " + str(directory))
        else:
            shutil.rmtree(directory, ignore_errors=True)
    return code


def restart(directory):
    stack = Stack(directory)
    stack.kill()
    stack.start()
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--suite", type=Path, default=SHARED / "conformance", help="the directory of the suites")
    parser.add_argument("--esco", type=Path, default=SHARED / "data" / "esco-1.1.1", help="the ESCO download to import first")
    parser.add_argument("--no-esco", dest="esco", action="store_const", const=None, help="stay with the starter taxonomy")
    parser.add_argument("--imago", type=Path, help="a binary that is built already")
    parser.add_argument("--profile", default="release", help="the cargo profile to build with")
    parser.add_argument("--keep", action="store_true", help="keep the stack's directory")
    parser.add_argument("--restart", metavar="DIRECTORY", help=argparse.SUPPRESS)
    parser.add_argument("pytest", nargs="*", help="what pytest is to run; default: " + " ".join(DEFAULT_TESTS))
    options = parser.parse_args()
    # So that the stack is stopped then as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return restart(options.restart) if options.restart else run(options)
    except Failure as failure:
        print("conformance: {}".format(failure), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
