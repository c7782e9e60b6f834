# SPDX-License-Identifier: Apache-2.0
"""Toolkits of several versions: what each one's headers declare that deals with memory, and what the probe table says of it."""
import os
import re
import subprocess

from declared import HEADER, Declared
from libraries import HERE, toolkit_version
from memory_symbols import is_known_name, is_memory

# What a new release could bring: a call of a family that deals with memory, and one of a family that is new itself.
NEW = {"driver": ("CUresult cuMemAllocNext(void *addr);", "CUresult cuVaultOpen(void *addr);"),
       "runtime": ("cudaError_t cudaMallocNext(void *addr);", "cudaError_t cudaVaultOpen(void *addr);")}


class Toolkit:
    def __init__(self, version, include, reason=None):
        self.version, self.include, self.reason = version, include, reason
        self.declared = Declared(include) if include else None
        self.memory = {layer: {symbol for symbol in self.declared.functions(layer) if is_memory(layer, symbol)}
                       for layer in HEADER if include}


def toolkits(folder, cuda_home):
    """The oldest and a later one, fetched into folder, and the machine's, in the order of their versions."""
    here = toolkit_version(cuda_home)
    found = {here: Toolkit(here, os.path.join(cuda_home, "include"))} if here else {}
    fetched = subprocess.run([os.path.join(HERE, "fetch"), folder, "headers"], text=True, stdout=subprocess.PIPE, check=True).stdout
    for line in fetched.splitlines():
        name, _, rest = line.split(" ", 2)
        version = name.split("-")[1]
        if rest.startswith("SKIP "):
            found.setdefault(version, Toolkit(version, None, rest[5:]))
        else:
            found.setdefault(version, Toolkit(version, os.path.dirname(os.path.realpath(rest))))
    return [found[version] for version in sorted(found, key=lambda version: tuple(map(int, version.split("."))))]


def declared_problems(declared, table):
    """Calls that are no row and should be, and calls of which nobody has said whether they should."""
    for layer in HEADER:
        functions = declared.functions(layer)
        yield from ("%s is declared and no row" % symbol for symbol in table.unknown(layer, functions))
        yield from ("%s is declared, and of no family that memory_symbols.py knows" % symbol
                    for symbol in sorted(functions) if not is_known_name(layer, symbol))


def version_problems(toolkit):
    told = toolkit_version(os.path.dirname(toolkit.include))
    if told != toolkit.version:
        yield "its cuda.h says %s" % told
    if not all(toolkit.memory[layer] for layer in HEADER):
        yield "it declares no memory calls"


def unnoticed(toolkit, table, folder):
    """New calls, declared in a copy of the toolkit's headers, of which the check does not complain."""
    os.makedirs(folder, exist_ok=True)
    for layer, lines in NEW.items():
        copy = os.path.join(folder, HEADER[layer])
        with open(os.path.join(toolkit.include, HEADER[layer]), encoding="utf-8") as file:
            text = file.read()
        with open(copy, "w", encoding="utf-8") as file:
            file.write(text + "\n".join(lines) + "\n")
        problems = "\n".join(declared_problems(Declared(folder, toolkit.include), table))
        os.unlink(copy)
        yield from ("%s in a copy of its headers was not noticed" % line for line in lines
                    if not re.search(r"^%s is declared" % re.search(r" (\w+)\(", line).group(1), problems, re.M))


def write_table(toolkit, here, table, path):
    """SYMBOL LAYER SEEN CLASS...: SEEN are the first and the last of the versions looked at that declare it."""
    rows = []
    for layer in HEADER:
        for symbol in sorted(toolkit.memory[layer]):
            seen = [other.version for other in here if symbol in other.memory[layer]]
            rows.append("%-48s %-8s %-10s %s" % (symbol, layer, "%s-%s" % (seen[0], seen[-1]), table.class_of(layer, symbol)))
    with open(path, "w", encoding="utf-8") as file:
        file.write("# The memory calls that %s of CUDA %s declare, and what the probe table does with each.\n"
                   "# Name as exported, layer, first and last of the versions %s that declare it, then op, shape and kind of\n"
                   "# what is probed, or the reason why it is not.\n" %
                   (" and ".join(HEADER.values()), toolkit.version, ", ".join(other.version for other in here)))
        file.write("\n".join(rows) + "\n")


def judge(here, table, folder, artefacts):
    """(what, problems) of each toolkit; its table is left in artefacts."""
    os.makedirs(artefacts, exist_ok=True)
    for toolkit in here:
        path = os.path.join(artefacts, "abi-%s.txt" % toolkit.version)
        problems = list(version_problems(toolkit)) + list(declared_problems(toolkit.declared, table))
        write_table(toolkit, here, table, path)
        counts = ", ".join("%d %s" % (len(toolkit.memory[layer]), layer) for layer in HEADER)
        yield "CUDA %s: declared memory calls (%s), in %s" % (toolkit.version, counts, os.path.relpath(path)), problems
        yield "CUDA %s: noticed: new calls" % toolkit.version, list(unnoticed(toolkit, table, folder))
