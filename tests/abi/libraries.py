# SPDX-License-Identifier: Apache-2.0
"""Real CUDA libraries to look at, and how this test reads an ELF file: by itself, so that it can judge the product's reader."""
import glob
import os
import re
import struct
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
PT_LOAD, SHT_DYNSYM, STT_FUNC = 1, 11, 2


class Library:
    def __init__(self, name, layer, path, reason=None):
        self.name, self.layer, self.path, self.reason = name, layer, path, reason
        # A stub is what programs are linked with: names without code behind them.
        self.is_stub = name.endswith("-stub")


class Image:
    """A 64-bit ELF file."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.bytes = file.read()
        segments, sections = struct.unpack_from("<QQ", self.bytes, 0x20)
        segment_size, segment_count, section_size, section_count = struct.unpack_from("<HHHH", self.bytes, 0x36)
        self.segments = [struct.unpack_from("<IIQQQQ", self.bytes, segments + i * segment_size) for i in range(segment_count)]
        self.sections = [struct.unpack_from("<IIQQQQIIQQ", self.bytes, sections + i * section_size)
                         for i in range(section_count)]

    def file_offset(self, address):
        for kind, _flags, offset, start, _physical, length in self.segments:
            if kind == PT_LOAD and start <= address < start + length:
                return address - start + offset
        return None

    def functions(self):
        """(name, virtual address) of .dynsym"""
        for section in (section for section in self.sections if section[1] == SHT_DYNSYM):
            strings = self.sections[section[6]][4]
            for name, info, _other, index, value, _size in struct.iter_unpack("<IBBHQQ", self.bytes[section[4]:][:section[5]]):
                if index and info & 15 == STT_FUNC:
                    start = strings + name
                    yield self.bytes[start:self.bytes.index(b"\0", start)].decode("ascii", "replace"), value


def exported_functions(path):
    """{symbol: file offset}"""
    image = Image(path)
    return {name: image.file_offset(address) for name, address in image.functions()}


def toolkit_version(cuda_home):
    try:
        with open(os.path.join(cuda_home, "include/cuda.h"), encoding="utf-8", errors="replace") as file:
            number = int(re.search(r"^#define CUDA_VERSION (\d+)", file.read(), re.M).group(1))
    except (OSError, AttributeError):
        return None
    return "%d.%d" % (number // 1000, number % 1000 // 10)


def of_machine(cuda_home):
    """The toolkit's runtime and stub driver, and the driver that ld.so finds."""
    version = toolkit_version(cuda_home)
    runtimes = glob.glob(os.path.join(cuda_home, "lib64/libcudart.so.[0-9]*"))
    if version and runtimes:
        yield Library("runtime-" + version, "runtime", os.path.realpath(runtimes[0]))
    stub = os.path.join(cuda_home, "lib64/stubs/libcuda.so")
    if version and os.path.exists(stub):
        yield Library("driver-%s-stub" % version, "driver", os.path.realpath(stub))
    path = machine_driver()
    if path:
        release = re.search(r"\.so\.(\d+)\.", path)
        yield Library("driver-" + (release.group(1) if release else "unknown"), "driver", path)


def machine_driver():
    """The driver that programs here would load, or None."""
    for folder in [*os.environ.get("LD_LIBRARY_PATH", "").split(":"), "/usr/local/nvidia/lib64"]:
        path = os.path.join(folder, "libcuda.so.1")
        if folder and os.path.exists(path):
            return os.path.realpath(path)
    cache = subprocess.run(["/sbin/ldconfig", "-p"], text=True, capture_output=True).stdout
    found = re.search(r"libcuda\.so\.1 .*x86-64.* => (\S+)", cache)
    return os.path.realpath(found.group(1)) if found else None


def all_libraries(folder, cuda_home):
    fetched = subprocess.run([os.path.join(HERE, "fetch"), folder, "libraries"], text=True, stdout=subprocess.PIPE, check=True).stdout
    found = []
    for line in fetched.splitlines():
        name, layer, rest = line.split(" ", 2)
        if rest.startswith("SKIP "):
            found.append(Library(name, layer, None, rest[5:]))
        else:
            found.append(Library(name, layer, os.path.realpath(rest)))
    have = {library.name for library in found if library.path}
    return found + [library for library in of_machine(cuda_home) if library.name not in have]
