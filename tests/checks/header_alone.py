#!/usr/bin/env python3
"""Every public header compiles by itself, without a warning, with every compiler that is here.

header_alone.py --include DIR...        the folders that hold postgen/*.h
header_alone.py --self-test
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror", "-fsyntax-only"]
CPP = ["-x", "c++", "-std=c++20", *WARNINGS]
C_MODES = [["-x", "c", "-std=c11", *WARNINGS], ["-x", "c++", "-std=c++11", *WARNINGS], CPP]
COMPILERS = [("g++", "gcc"), ("clang++-14", "clang-14")]


def compiles(compiler, flags, folders, source):
    command = [compiler, *flags, *(f"-I{folder}" for folder in folders), "-"]
    return subprocess.run(command, input=source, capture_output=True, text=True, check=False)


def check(folders):
    compilers = [(cxx, c) for cxx, c in COMPILERS if shutil.which(cxx) and shutil.which(c)]
    headers = sorted(
        {path.name for folder in folders for path in Path(folder, "postgen").glob("*.h")}
    )
    if "c.h" not in headers or "postgen.h" not in headers or not compilers:
        yield f"found {len(headers)} headers and {len(compilers)} compilers"
    tries = [
        (header, c if "-std=c11" in flags else cxx, flags)
        for header in headers
        for cxx, c in compilers
        for flags in (C_MODES if header == "c.h" else [CPP])
    ]

    def attempt(header, compiler, flags):
        # Twice: include guards. With a line of its own: C knows no empty programs.
        source = f"#include <postgen/{header}>\n" * 2 + "typedef int not_empty;\n"
        return compiles(compiler, flags, folders, source)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda one: attempt(*one), tries)
    for (header, compiler, flags), result in zip(tries, results, strict=True):
        if result.returncode != 0:
            yield f"{header} with {compiler} {flags[2]}:\n{result.stderr}"


def self_test():
    breaches = {
        "needs another header": "#ifndef A\n#define A\nstd::string a();\n#endif\n",
        "no include guard": "struct A { int a; };\n",
        "converts silently": "#ifndef A\n#define A\ninline int a(long b) { return static_cast<int>(b) + 0; }\n"
        "inline char b(int c) { return c; }\n#endif\n",
        "is not C": "#ifndef A\n#define A\n#include <string>\n#endif\n",
    }
    failures = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "postgen")
        folder.mkdir()
        for name in ("c.h", "postgen.h"):
            (folder / name).write_text("", encoding="utf-8")
        failures += [f"sound headers: {found}" for found in check([temporary])]
        for name, text in breaches.items():
            victim = folder / ("c.h" if name == "is not C" else "postgen.h")
            victim.write_text(text, encoding="utf-8")
            if not list(check([temporary])):
                failures.append(f"a header that {name} was not found")
            victim.write_text("", encoding="utf-8")
    return failures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("--include", nargs="*", default=[])
    arguments = parser.parse_args()
    found = self_test() if arguments.self_test else list(check(arguments.include))
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
