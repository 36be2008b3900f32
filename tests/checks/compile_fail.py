#!/usr/bin/env python3
"""Misuse that the compiler must refuse: each case compiles as it should be written, and not as it
should not.

    compile_fail.py --include DIR...
    compile_fail.py --self-test
"""

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CPP = ["c++", "-x", "c++", "-std=c++20", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
C = ["cc", "-x", "c", "-std=c11", "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only"]

GENERATOR = "#include <postgen/postgen.h>\nvoid F(postgen::PostGenerator& g) { (void)g; %s; }\n"
QUEUE = "#include <postgen/postgen.h>\nvoid F() { postgen::EventQueue a; %s; }\n"
ERRORS = "#include <postgen/postgen.h>\n%s\n"
C_CALL = "#include <postgen/c.h>\nvoid f(postgen_generator* g, const char* text) { (void)g; (void)text; %s; }\n"

# what, command, frame, right, wrong
CASES = [
    (
        "a failure that nobody looks at",
        CPP,
        GENERATOR,
        "if (!g.Close({}).ok()) return",
        "g.Close({})",
    ),
    (
        "a post that nobody looks at",
        CPP,
        GENERATOR,
        "auto post = g.Generate({}); (void)post",
        "g.Generate({})",
    ),
    (
        "a copied generator",
        CPP,
        GENERATOR,
        "postgen::PostGenerator* h = &g; (void)h",
        "postgen::PostGenerator h = g; (void)h",
    ),
    (
        "a generator without Create",
        CPP,
        GENERATOR,
        "(void)postgen::PostGenerator::Create({})",
        "new postgen::PostGenerator()",
    ),
    (
        "a copied queue",
        CPP,
        QUEUE,
        "postgen::EventQueue& b = a; (void)b",
        "postgen::EventQueue b = a",
    ),
    (
        "a number for a code",
        CPP,
        ERRORS,
        'postgen::Error e(postgen::Code::kStore, "");',
        'postgen::Error e(7, "");',
    ),
    (
        "a Result that is taken for its value",
        CPP,
        ERRORS,
        "int F(postgen::Result<int> r) { return *r; }",
        "int F(postgen::Result<int> r) { return r; }",
    ),
    (
        "a pointer for a literal",
        C,
        C_CALL,
        'postgen_str s = POSTGEN_STR("a"); (void)s',
        "postgen_str s = POSTGEN_STR(text); (void)s",
    ),
    (
        "a handle of another kind",
        C,
        C_CALL,
        "postgen_generator_destroy(&g)",
        "postgen_result_destroy(&g)",
    ),
    (
        "destroy without the address",
        C,
        C_CALL,
        "postgen_generator_destroy(&g)",
        "postgen_generator_destroy(g)",
    ),
]


def compiles(command, folders, source):
    return subprocess.run(
        [*command, *(f"-I{folder}" for folder in folders), "-"],
        input=source,
        capture_output=True,
        text=True,
        check=False,
    )


def check(cases, folders):
    sources = [
        (command, folders, frame % way) for _, command, frame, *ways in cases for way in ways
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda one: compiles(*one), sources))
    for (what, *_), right, wrong in zip(cases, results[::2], results[1::2], strict=True):
        if right.returncode != 0:
            yield f"{what}: the right way does not compile:\n{right.stderr}"
        if wrong.returncode == 0:
            yield f"{what}: compiles"


def self_test():
    failures = []
    sound = ("sound", C, "%s\n", "int a = 1;", "int a = b;")
    for case, wanted in (
        (sound, 0),
        (("both compile", C, "%s\n", "int a = 1;", "int a = 2;"), 1),
        (("neither compiles", C, "%s\n", "int a = b;", "int a = c;"), 1),
    ):
        found = list(check([case], []))
        if len(found) != wanted:
            failures.append(f"{case[0]}: found {found}")
    return failures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("--include", nargs="*", type=Path, default=[])
    arguments = parser.parse_args()
    found = self_test() if arguments.self_test else list(check(CASES, arguments.include))
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
