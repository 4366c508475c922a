"""The PostgreSQL server of a lab: on its first server, for all of them."""

import os
import shutil
import subprocess
from pathlib import Path

import sqlalchemy as sa

PORT, USER, DATABASE = 5432, "netloom", "netloom"
_DIRECTORY = Path("/var/lib/postgresql")
_SOCKETS = Path("/run/postgresql")
_SETTINGS = "-c listen_addresses=* -c max_connections=300 -c fsync=off"
"""Its files are in memory: there is nothing to sync."""


def url(host: str, password: str) -> str:
    """How servers connect."""
    made = sa.URL.create("postgresql+psycopg", USER, password, host, PORT, DATABASE)
    return made.render_as_string(hide_password=False)


def start(password: str) -> None:
    """Start it on this host, with an empty database when it starts for the first time.

    Raises:
        subprocess.CalledProcessError: one of its programs failed; it has said why.
    """
    data = _DIRECTORY / "data"
    for directory in (_DIRECTORY, _SOCKETS):
        directory.mkdir(exist_ok=True)
        shutil.chown(directory, "postgres", "postgres")
    fresh = not data.exists()
    if fresh:
        _initialise(data, password)
    if _run("pg_ctl", "-D", str(data), "status", check=False):
        options = f"{_SETTINGS} -c unix_socket_directories={_SOCKETS}"
        _run("pg_ctl", "-D", str(data), "-w", "-s", "-o", options, "-l", str(_DIRECTORY / "log"), "start")
    if fresh:
        _run("createdb", "-h", "127.0.0.1", "-U", USER, DATABASE, password=password)


def _initialise(data: Path, password: str) -> None:
    secret = _DIRECTORY / "password"
    with open(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(password)
    shutil.chown(secret, "postgres", "postgres")
    words = ("-E", "UTF8", "--locale=C", "-A", "scram-sha-256", "-U", USER, f"--pwfile={secret}", "--no-sync")
    _run("initdb", "-D", str(data), *words)
    secret.unlink()
    with (data / "pg_hba.conf").open("a") as file:
        file.write("host all all samenet scram-sha-256\n")


def _run(program: str, *words: str, check: bool = True, password: str = "") -> int:
    """Run one of its programs as its own user: it refuses to be root."""
    environment = {"PATH": os.environ["PATH"], "PGPASSWORD": password}
    argv = ["runuser", "-u", "postgres", "--", program_path(program), *words]
    null = subprocess.DEVNULL
    done = subprocess.run(argv, stdin=null, stdout=null, env=environment, check=check, cwd="/")
    return done.returncode


def program_path(program: str) -> str:
    """Where one of its programs is.

    Raises:
        FileNotFoundError: it is not installed.
    """
    known = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
    found = shutil.which(program) or (str(known[-1]) if known else None)
    if found is None:
        raise FileNotFoundError(f"{program} is not installed: apt-get install postgresql")
    return found
