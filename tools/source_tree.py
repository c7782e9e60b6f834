# SPDX-License-Identifier: Apache-2.0
"""What the lints share: the source files of a tree, C without its comments, and how a lint ends."""
import os
import re
import sys

SKIPPED_FOLDERS = {".git", "__pycache__"}
SKIP = 77

# A comment, or a literal that may contain what looks like one.
_TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def root_argument():
    """The tree to look at: the first argument, else the one this file is in."""
    if len(sys.argv) > 1:
        return sys.argv[1]
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def files(root, *folders):
    """Paths relative to root, sorted; build folders are left out."""
    found = []
    for folder in folders or (".",):
        for base, names, plain in os.walk(os.path.join(root, folder)):
            names[:] = [n for n in names if n not in SKIPPED_FOLDERS and not n.startswith("build")]
            found += [os.path.relpath(os.path.join(base, name), root) for name in plain]
    return sorted(found)


def text(root, path):
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def without_comments(code):
    """The same lines with comments blanked; strings stay."""
    def blank(match):
        token = match.group(0)
        if not token.startswith("/"):
            return token
        return "\n" * token.count("\n") or " "
    return _TOKEN.sub(blank, code)


def finish(problems):
    for problem in problems:
        print(problem)
    sys.exit(1 if problems else 0)


def skip(reason):
    print(reason)
    sys.exit(SKIP)
