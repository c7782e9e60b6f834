# SPDX-License-Identifier: Apache-2.0
"""Names that a program may have and a terminal, a JSON reader or a spreadsheet should not see raw; and what has to stand for them,
written from the contract and not from the code under test."""
import os
import subprocess

from truth import ROOT

NAMES = [
    b"\x1b[2J\x1b[31mred",                      # CSI: clears, colours
    b"\x1b]52;c;ZWE=\x07x",                     # OSC 52: the clipboard
    b"\x1b]0;owned\x1b\\t",                     # OSC 0: the title
    b"a\nfake 1 alloc",                         # a line of its own
    b"fine\rEVIL",
    b"a\tb\vc\fd\be",
    b"a\x9b31m\x9d0;t\x9c",                     # C1, raw
    "a\u009b31m\u0085b".encode(),               # C1, as UTF-8
    b"del\x7f\x7fete",
    "\u202a\u202b\u202c\u202d\u202e".encode(),  # bidi: exactly what a comm holds
    "\u2066\u2067\u2068\u2069\u200e".encode(),
    "\u200fa\u061cb\u2028c".encode(),
    "\u200ba\ufeffb\U000e0041".encode(),        # seen by nobody
    b"a\xc0\xafb\xe0\x80\xafc",                 # overlong
    b"a\xed\xa0\x80b\xed\xbf\xbf",              # surrogates
    b"a\xf4\x90\x80\x80\xf5\xff\xfe",           # beyond Unicode
    b"\xe2\x80",                                # cut
    "fourteen-bytesé".encode(),                 # a comm ends inside the last character
    "thirteen-byte€".encode(),
    "twelve-bytes🙂".encode(),
    "good: é中🙂".encode(),
    b'"a","b", \'c\'',
    b'"},{"event":"x',
    b"\\x1b[31m\\u001b\\",
    b"=cmd|' calc'!A",
    b"+1+1",
    b"-2+3",
    b"@SUM(1)",
    b"\t=1+1",
    "＝1+1".encode(),                           # as wide as a Chinese character: a formula to some spreadsheets
    b" , ;,",
    b"%s%n%99999999x",
    b"$(id)`id`;id&",
    b"<b>&amp;</b>".replace(b"/", b"!"),
]
COMM_BYTES = 15
PLACE = "function_with_a_name_that_is_long_enough_for_all_of_them"
LIBRARY = """#include <cuda_runtime_api.h>
__attribute__((noinline, visibility("default"))) int %s(void **ret) { int e = cudaMalloc(ret, 4096); __asm__(""); return e; }
int go(void) { void *at; int e = %s(&at); __asm__(""); return e; }
""" % (PLACE, PLACE)
UNSAFE = [(0, 0x1f), (0x7f, 0x9f), (0x61c, 0x61c), (0x200b, 0x200f), (0x2028, 0x202e), (0x2060, 0x206f), (0xfeff, 0xfeff),
          (0xfff9, 0xfffb), (0xe0000, 0xe007f)]


def is_unsafe(char):
    return any(first <= ord(char) <= last for first, last in UNSAFE)


def is_bad(char):
    """A byte that is no UTF-8, as Python's surrogateescape stands for it."""
    return 0xdc80 <= ord(char) <= 0xdcff


def characters(name):
    return name.decode("utf-8", "surrogateescape")


def as_text(name):
    def one(char):
        if is_bad(char) or is_unsafe(char):
            return "".join("\\x%02x" % byte for byte in char.encode("utf-8", "surrogateescape"))
        return "\\\\" if char == "\\" else char
    return "".join(map(one, characters(name)))


def as_json(name):
    """The value, not its spelling."""
    return "".join("\ufffd" if is_bad(char) else char for char in characters(name))


def as_csv(name):
    """The field as a reader of CSV gives it."""
    return ("'" if characters(name)[:1] in tuple("=+-@＝＋－＠") else "") + as_text(name)


def acts(raw, allowed=b"\n"):
    """What would act on a terminal, or is no UTF-8 at all."""
    text = characters(raw)
    return sorted({char for char in text if (is_unsafe(char) or is_bad(char)) and char not in allowed.decode()})


def function_name(number):
    """Of the number-th program; every other one a C++ name."""
    name = NAMES[number % len(NAMES)]
    return b"_Z%d%sv" % (len(name), name) if number % 2 else name


def make_library(scene):
    """Machine code that is the same for all; only names in it differ."""
    path = os.path.join(scene.folder, "plain.so")
    sim = os.path.join(scene.build, "sim")
    subprocess.run(["cc", "-x", "c", "-", "-O1", "-shared", "-fPIC", "-Wl,-Bsymbolic", "-fno-omit-frame-pointer",
                    "-I" + os.path.join(ROOT, "tests/sim/include"), "-L" + sim, "-lcudart", "-o", path],
                   input=LIBRARY.encode(), check=True, timeout=60)
    with open(path, "rb") as file:
        return file.read()


def name_function(library, name):
    """Its symbol, in both of its string tables."""
    old = PLACE.encode() + b"\0"
    assert library.count(old) >= 2 and len(name) < len(old)
    return library.replace(old, name.ljust(len(old), b"\0"))
