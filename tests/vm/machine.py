# SPDX-License-Identifier: Apache-2.0
"""A virtual machine for one run: a kernel, everything else in an initramfs, two serial ports and a time limit."""
import base64
import io
import os
import re
import shutil
import subprocess
import tarfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
MEMORY_MIB = 1024
# A slow machine is none that hangs: the kernel's own alarms are for real ones.
COMMAND_LINE = ("console=ttyS0 panic=-1 oops=panic loglevel=5 nokaslr mitigations=off rcupdate.rcu_cpu_stall_timeout=60 "
                "watchdog_thresh=30")
NEEDED = {"qemu-system-x86_64": "qemu-system-x86", "cpio": "cpio"}
BUSYBOX = "/bin/busybox"


def missing():
    """Packages to install."""
    wanted = [package for program, package in NEEDED.items() if not shutil.which(program)]
    found = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status}", "busybox-static"], capture_output=True, text=True,
                           check=False)
    return wanted + ([] if found.stdout == "installed" else ["busybox-static"])


def libraries_of(paths):
    """What the dynamic linker would load for these, itself included: {path as the programs say it: file}."""
    found = {}
    for path in paths:
        listed = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
        for line in listed.split("\n"):
            match = re.match(r"\s*(?:\S+ => )?(/\S+) \(0x", line)
            if match:
                found[match[1]] = os.path.realpath(match[1])
    return found


class Image:
    """The files of the initramfs, gathered in a folder."""

    def __init__(self, folder):
        shutil.rmtree(folder, ignore_errors=True)
        self.folder = folder
        for name in ("bin", "proc", "sys", "dev", "tmp", "etc", "b", "root"):
            os.makedirs(os.path.join(folder, name))
        self.add(BUSYBOX, "bin/busybox")
        self.add(os.path.join(HERE, "init"), "init")
        self.write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
        self.write("etc/group", "root:x:0:\nnogroup:x:65534:\n")

    def _place(self, name):
        path = os.path.join(self.folder, name.lstrip("/"))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def write(self, name, text):
        with open(self._place(name), "w", encoding="utf-8") as file:
            file.write(text)

    def add(self, source, name):
        shutil.copy2(source, self._place(name), follow_symlinks=False)

    def add_programs(self, folder, names, under):
        """Programs with the libraries that they need, but those of the folders that come along."""
        for name in names:
            self.add(os.path.join(folder, name), os.path.join(under, name))
        for path, file in libraries_of(os.path.join(folder, name) for name in names).items():
            if path.startswith(("/lib", "/usr/lib")):
                self.add(file, path)

    def pack(self, path):
        names = subprocess.run(["find", "."], cwd=self.folder, stdout=subprocess.PIPE, check=True).stdout
        with open(path, "wb") as file:
            subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], cwd=self.folder, input=names, stdout=file,
                           check=True)


class Machine:
    """One boot. What the scenes left is unpacked under folder/NAME."""

    def __init__(self, folder):
        self.folder = folder
        self.console_path = os.path.join(folder, "console.log")
        self.results_path = os.path.join(folder, "results.log")
        self.timed_out = False
        self.seconds = 0

    def run(self, vmlinuz, initramfs, limit_s):
        begun = time.monotonic()
        argv = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", str(MEMORY_MIB),
                "-nodefaults", "-no-user-config", "-display", "none", "-nic", "none", "-no-reboot", "-kernel", vmlinuz,
                "-initrd", initramfs, "-append", COMMAND_LINE, "-serial", "file:" + self.console_path, "-serial",
                "file:" + self.results_path]
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL) as qemu:
            try:
                qemu.wait(limit_s)
            except subprocess.TimeoutExpired:
                self.timed_out = True
                qemu.kill()
        self.seconds = time.monotonic() - begun

    def console(self):
        with open(self.console_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def unpack(self):
        """The names of the scenes that have ended."""
        with open(self.results_path, encoding="ascii", errors="replace") as file:
            text = file.read().replace("\r", "")
        done = []
        for name, packed in re.findall(r"^begin ([\w.-]+)\n([\w+/=\n]*)^end \1$", text, re.M):
            try:
                with tarfile.open(fileobj=io.BytesIO(base64.b64decode(packed))) as archive:
                    archive.extractall(os.path.join(self.folder, name))
            except (ValueError, EOFError, OSError, tarfile.TarError):
                continue
            done.append(name)
        return done
