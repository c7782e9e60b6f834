#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""facts.py PROBES.DEF LIBRARY driver|runtime: for each row of the layer, whether LIBRARY exports it, and its first bytes.

`push` is the class that the kernel emulates. Status 1 if a present function begins otherwise.
"""
import re
import struct
import sys

PT_LOAD, SHT_DYNSYM = 1, 11


def read_symbols(image):
    """name -> virtual address, from .dynsym"""
    section_offset, = struct.unpack_from("<Q", image, 0x28)
    entry_size, count = struct.unpack_from("<HH", image, 0x3a)
    sections = [struct.unpack_from("<IIQQQQIIQQ", image, section_offset + i * entry_size) for i in range(count)]
    symbols = {}
    for section in sections:
        if section[1] != SHT_DYNSYM:
            continue
        strings = sections[section[6]][4]
        for at in range(section[4], section[4] + section[5], 24):
            name, _info, _other, index, value, _size = struct.unpack_from("<IBBHQQ", image, at)
            if index:
                end = image.index(b"\0", strings + name)
                symbols[image[strings + name:end].decode("ascii", "replace")] = value
    return symbols


def file_offset(image, address):
    offset, = struct.unpack_from("<Q", image, 0x20)
    size, count = struct.unpack_from("<HH", image, 0x36)
    for i in range(count):
        kind, _flags, start, virtual, _physical, length = struct.unpack_from("<IIQQQQ", image, offset + i * size)
        if kind == PT_LOAD and virtual <= address < virtual + length:
            return address - virtual + start
    return None


def main():
    table, path, layer = sys.argv[1:4]
    with open(table, encoding="ascii") as file:
        rows = re.findall(r"^PROBE\((\w+), (\w+),", file.read(), re.MULTILINE)
    with open(path, "rb") as file:
        image = file.read()
    symbols = read_symbols(image)
    stepped = 0
    for symbol, row_layer in rows:
        if row_layer.lower() != layer:
            continue
        if symbol not in symbols:
            print(f"  {symbol:<36} absent")
            continue
        first = image[file_offset(image, symbols[symbol]):][:4]
        emulated = first[0] == 0x55
        stepped += not emulated
        print(f"  {symbol:<36} {symbols[symbol]:#12x}  {first.hex(' ')}  {'push' if emulated else 'OTHER'}")
    sys.exit(1 if stepped else 0)


if __name__ == "__main__":
    main()
