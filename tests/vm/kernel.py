# SPDX-License-Identifier: Apache-2.0
"""Debian's kernels, fetched by apt into a folder of their own: apt's signatures are checked, nothing of the machine's apt is written."""
import os
import re
import shutil
import subprocess
import time

# Which suite has the series: what linux-image-amd64 depends on there.
SUITES = {"6.1": "bookworm", "6.12": "bookworm-backports"}
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
FRESH_S = 7 * 24 * 3600  # how long a kernel is used without asking for a newer one
FETCH_S = 300


class Unavailable(Exception):
    """Why there is no such kernel here: no failure of ours."""


def _run(argv, **more):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=FETCH_S,
                          stdin=subprocess.DEVNULL, **more)
    if done.returncode:
        lines = done.stdout.strip().split("\n")
        errors = [line for line in lines if line.startswith("E:")] or lines
        raise Unavailable("%s: %s" % (" ".join(argv[:2]), errors[0] or "status %d" % done.returncode))
    return done.stdout


def _mirror():
    """Where this machine gets Debian's packages from."""
    listed = _run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"])
    for line in listed.split("\n"):
        uri, release, component = (line.split() + ["", "", ""])[:3]
        if component == "main" and uri.rstrip("/").endswith("/debian") and "/" not in release and "-" not in release:
            return uri
    raise Unavailable("apt knows no mirror of Debian here")


class Apt:
    """A state of apt's own under the folder: sources, lists, cache. Of the machine's settings only how to reach a mirror."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("sources", "none", "lists/partial", "cache/archives/partial", "debs"):
            os.makedirs(os.path.join(folder, name), exist_ok=True)
        # apt fetches as a user of its own where that user can write.
        if os.getuid() == 0:
            for name in ("debs", "lists/partial", "cache/archives/partial"):
                try:
                    shutil.chown(os.path.join(folder, name), user="_apt")
                except (LookupError, OSError):
                    pass
        self._write_sources()
        self._write_settings()
        self.environment = dict(os.environ, APT_CONFIG=os.path.join(folder, "apt.conf"), LC_ALL="C")

    def _write_sources(self):
        lines = ["Types: deb", "URIs: " + _mirror(), "Suites: " + " ".join(SUITES.values()), "Components: main",
                 "Architectures: amd64"]
        if os.path.exists(KEYRING):
            lines.append("Signed-By: " + KEYRING)
        with open(os.path.join(self.folder, "sources/vm.sources"), "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")

    def _write_settings(self):
        """The machine's own hooks are left out: some of them empty its cache."""
        own = {"Dir::Etc::Parts": "none", "Dir::Etc::SourceList": "/dev/null", "Dir::Etc::SourceParts": "sources",
               "Dir::State::Lists": "lists", "Dir::Cache": "cache"}
        text = _run(["apt-config", "dump", "Acquire"]) + 'Acquire::Languages "none";\n'
        for name, value in own.items():
            text += '%s "%s";\n' % (name, os.path.join(self.folder, value))
        with open(os.path.join(self.folder, "apt.conf"), "w", encoding="utf-8") as file:
            file.write(text)

    def update(self):
        _run(["apt-get", "-q", "update"], env=self.environment)

    def image_of(self, suite):
        """(package, version) of the suite's kernel."""
        shown = _run(["apt-cache", "show", "linux-image-amd64/" + suite], env=self.environment)
        found = re.search(r"^Depends: (linux-image-[\w.+-]+) \(= ([\w.+:~-]+)\)", shown, re.M)
        if not found:
            raise Unavailable("%s has no linux-image-amd64" % suite)
        return found.groups()

    def fetch(self, package, version):
        """The path of the package's file."""
        debs = os.path.join(self.folder, "debs")
        _run(["apt-get", "-q", "download", "%s=%s" % (package, version)], env=self.environment, cwd=debs)
        for name in os.listdir(debs):
            if name.startswith(package + "_"):
                return os.path.join(debs, name)
        raise Unavailable("apt brought no " + package)


def _unpack(deb, folder, version):
    """The kernel alone: what the machines need is built in."""
    listing = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE)
    done = subprocess.run(["tar", "-x", "-C", folder, "--wildcards", "--strip-components=2", "./boot/vmlinuz-*"],
                          stdin=listing.stdout, check=False)
    listing.stdout.close()
    listing.wait()
    names = [name for name in os.listdir(folder) if name.startswith("vmlinuz-")]
    if done.returncode or len(names) != 1:
        raise Unavailable("no kernel in " + os.path.basename(deb))
    os.replace(os.path.join(folder, names[0]), os.path.join(folder, "vmlinuz"))
    with open(os.path.join(folder, "version"), "w", encoding="utf-8") as file:
        file.write(version)


def _cached(folder):
    """(version, age in seconds) of the kernel that is there, or None."""
    try:
        with open(os.path.join(folder, "version"), encoding="utf-8") as file:
            return file.read(), time.time() - os.stat(os.path.join(folder, "checked")).st_mtime
    except OSError:
        return None


def _renew(series, folder, had):
    apt = Apt(os.path.join(os.path.dirname(folder), "apt"))
    apt.update()
    package, version = apt.image_of(SUITES[series])
    if not had or had[0] != version:
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        deb = apt.fetch(package, version)
        _unpack(deb, folder, version)
        os.unlink(deb)
    with open(os.path.join(folder, "checked"), "w", encoding="utf-8"):
        pass
    return version


def kernel(series, under):
    """(path of vmlinuz, version) of 6.1 or 6.12, from the cache where it is fresh. Raises Unavailable."""
    folder = os.path.join(under, "kernel-" + series)
    had = _cached(folder)
    if had and had[1] < FRESH_S:
        return os.path.join(folder, "vmlinuz"), had[0]
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise Unavailable("no apt here")
    try:
        version = _renew(series, folder, had)
    except (Unavailable, subprocess.TimeoutExpired) as error:
        if not had or not os.path.exists(os.path.join(folder, "vmlinuz")):
            raise Unavailable(str(error)) from None
        version = had[0]
    return os.path.join(folder, "vmlinuz"), version
