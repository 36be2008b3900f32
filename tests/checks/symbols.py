#!/usr/bin/env python3
"""What the libraries export, and what their objects must not use.

    symbols.py --c-library libpostgen_c.so --exports capi/exports.txt --header capi/.../c.h
               --cpp-library libpostgen.so --objects FILE... [--assertions]
    symbols.py --self-test --cxx c++      checks that each rule finds a planted breach

- libpostgen_c.so exports the functions of exports.txt, which are those that c.h declares.
- libpostgen.so exports names of namespace postgen only.
- No object of ours prints, ends the process, or reads or changes its environment.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

FORBIDDEN = {
    "ends the process": "abort exit _exit _Exit quick_exit __assert_fail __assert_perror_fail",
    "prints": "printf fprintf vprintf vfprintf dprintf __printf_chk __fprintf_chk __vprintf_chk __vfprintf_chk "
    "puts fputs putchar putc fputc perror stdout stderr syslog "
    "std::cout std::cerr std::clog std::wcout std::wcerr",
    "meets the environment": "getenv secure_getenv setenv putenv unsetenv clearenv environ",
    "is state of the whole process": "setlocale rand srand random srandom signal sigaction atexit "
    "curl_global_cleanup",
}
# Builds with assertions have those of Abseil's and simdjson's headers; release builds have none.
ASSERTIONS = {"abort", "__assert_fail"}

# What must be found for the check to mean anything.
EXPECTED_EXPORT = "postgen::PostGenerator::Create("
FEWEST_OBJECTS = 20


def nm(*arguments):
    return subprocess.run(
        ["nm", *arguments], check=True, capture_output=True, text=True
    ).stdout.splitlines()


def exported(library, demangle):
    lines = nm("-D", "--defined-only", *(["-C"] if demangle else []), str(library))
    return {line.split(" ", 2)[2].split("@")[0] for line in lines if line}


def undefined(objects):
    """(object, symbol) for every symbol that an object, archive or library needs from elsewhere."""
    for path in objects:
        shared = ["-D"] if ".so" in path.name else []
        for line in nm(*shared, "-A", "-C", "-u", str(path)):
            # archive.a:object.o:                  U symbol
            place, kind, symbol = re.match(r"(.*?):\s+([A-Za-z]) (.*)", line).groups()
            if kind in "Uwv":
                yield Path(place).name, symbol.split("@")[0]


def check_c_library(library, exports, header):
    listed = exports.read_text(encoding="utf-8").split()
    if listed != sorted(set(listed)):
        yield f"{exports.name} is not sorted or has a name twice"
    declared = set(
        re.findall(
            r"\b(postgen_\w+)\(",
            " ".join(re.findall(r"POSTGEN_C_API[^;]*;", header.read_text(encoding="utf-8"))),
        )
    )
    found = exported(library, demangle=False)
    for what, names in (
        ("exported but not in exports.txt", found - set(listed)),
        ("in exports.txt but not exported", set(listed) - found),
        ("declared in c.h but not in exports.txt", declared - set(listed)),
        ("in exports.txt but not declared in c.h", set(listed) - declared),
    ):
        for name in sorted(names):
            yield f"{name}: {what}"


def check_cpp_library(library):
    names = exported(library, demangle=True)
    if not any(name.startswith(EXPECTED_EXPORT) for name in names):
        yield f"{library.name} does not export {EXPECTED_EXPORT}...)"
    ours = re.compile(r"^((vtable|typeinfo|typeinfo name|VTT) for )?postgen::")
    for name in sorted(names):
        if not ours.match(name):
            yield f"{name}: exported by {library.name}"


def check_objects(objects, assertions):
    reasons = {name: reason for reason, names in FORBIDDEN.items() for name in names.split()}
    for place, symbol in undefined(objects):
        if symbol in reasons and not (assertions and symbol in ASSERTIONS):
            yield f"{place}: {symbol} {reasons[symbol]}"


def self_test(cxx):
    failures = []

    def expect(name, found, wanted):
        if len(found) != wanted:
            failures.append(f"{name}: found {found}, expected {wanted}")

    def build(folder, name, text, *flags):
        source, output = folder / (name + ".cc"), folder / name
        source.write_text(text, encoding="utf-8")
        subprocess.run([cxx, "-std=c++20", "-fPIC", *flags, "-o", output, source], check=True)
        return output

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        breaches = {
            "abort": "#include <cstdlib>\nvoid F() { std::abort(); }",
            "exit": "#include <cstdlib>\nvoid F() { std::exit(1); }",
            "assert": "#undef NDEBUG\n#include <cassert>\nvoid F(int i) { assert(i); }",
            "printf": '#include <cstdio>\nvoid F(int i) { std::printf("%d", i); }',
            "fprintf": '#include <cstdio>\nvoid F(int i) { std::fprintf(stderr, "%d", i); }',
            "cout": "#include <iostream>\nvoid F(int i) { std::cout << i; }",
            "cerr": "#include <iostream>\nvoid F(int i) { std::cerr << i; }",
            "getenv": '#include <cstdlib>\nconst char* F() { return std::getenv("HOME"); }',
        }
        for name, text in breaches.items():
            found = list(check_objects([build(folder, name + ".o", text, "-c")], assertions=False))
            if not found:
                failures.append(f"{name}: not found")
        sound = build(
            folder,
            "sound.o",
            "#include <string>\nstd::string F() { return std::to_string(7); }",
            "-c",
        )
        expect("sound object", list(check_objects([sound], assertions=False)), 0)
        aborts = folder / "abort.o"
        expect("with assertions", list(check_objects([aborts], assertions=True)), 0)

        both = 'extern "C" void postgen_a() {}\nextern "C" void postgen_b() {}\n'
        library = build(folder, "c.so", both, "-shared")
        exports, header = folder / "exports.txt", folder / "c.h"
        header.write_text(
            "POSTGEN_C_API void postgen_a(void);\nPOSTGEN_C_API void postgen_b(int x,\n int y);\n"
        )
        exports.write_text("postgen_a\npostgen_b\n")
        expect("sound C library", list(check_c_library(library, exports, header)), 0)
        exports.write_text("postgen_a\n")
        expect("export that is not listed", list(check_c_library(library, exports, header)), 2)
        exports.write_text("postgen_a\npostgen_b\npostgen_c\n")
        expect("listed and not exported", list(check_c_library(library, exports, header)), 2)

        create = (
            "namespace postgen { struct PostGenerator { static void Create(int); };\n"
            "void PostGenerator::Create(int) {} }\n"
        )
        expect(
            "sound C++ library",
            list(check_cpp_library(build(folder, "a.so", create, "-shared"))),
            0,
        )
        leak = create + "namespace other { void F() {} }\n"
        expect("foreign export", list(check_cpp_library(build(folder, "b.so", leak, "-shared"))), 1)
        expect(
            "nothing exported", list(check_cpp_library(build(folder, "c2.so", "", "-shared"))), 1
        )
    return failures


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("--cxx", default="c++")
    parser.add_argument("--c-library", type=Path)
    parser.add_argument("--exports", type=Path)
    parser.add_argument("--header", type=Path)
    parser.add_argument("--cpp-library", type=Path)
    parser.add_argument("--assertions", action="store_true")
    parser.add_argument("--objects", type=Path, nargs="*", default=[])
    arguments = parser.parse_args()
    if arguments.self_test:
        found = self_test(arguments.cxx)
    else:
        found = list(check_c_library(arguments.c_library, arguments.exports, arguments.header))
        found += check_cpp_library(arguments.cpp_library)
        found += check_objects(arguments.objects, arguments.assertions)
        count = len({place for place, _ in undefined(arguments.objects)})
        if count < FEWEST_OBJECTS:
            found.append(f"only {count} objects were read")
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
