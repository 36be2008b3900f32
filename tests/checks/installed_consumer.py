#!/usr/bin/env python3
"""Installs postgen into a folder of its own, builds a C++ and a C program against it, by CMake and
by pkg-config, moves the folder, and has the programs make a post.

    installed_consumer.py --build DIR [--cxx c++] [--cc cc] [--flags=...]
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

CONSUMER = Path(__file__).resolve().parent / "consumer"


def run(*command, **more):
    result = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False, **more
    )
    if result.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{result.stdout}{result.stderr}")
    return result.stdout


def check_post(program, library_folder):
    environment = {**os.environ, "LD_LIBRARY_PATH": str(library_folder)}
    reply = json.loads(run(program, env=environment))
    if not (reply["success"] and reply["content"] and len(reply["postgen"]["versions"]) == 5):
        raise RuntimeError(f"{program}: {reply}")


def by_cmake(prefix, folder, arguments):
    flags = [
        f"-DCMAKE_PREFIX_PATH={prefix}",
        f"-DCMAKE_CXX_COMPILER={arguments.cxx}",
        f"-DCMAKE_C_COMPILER={arguments.cc}",
        f"-DCMAKE_CXX_FLAGS={arguments.flags}",
        f"-DCMAKE_C_FLAGS={arguments.flags}",
    ]
    run("cmake", "-S", CONSUMER, "-B", folder, "-G", "Ninja", *flags)
    run("cmake", "--build", folder)
    try:
        run(
            "cmake",
            "-S",
            CONSUMER,
            "-B",
            f"{folder}-newer",
            "-G",
            "Ninja",
            *flags,
            "-DPOSTGEN_WANTED=999.0",
        )
    except RuntimeError:
        return [folder / "consumer_cpp", folder / "consumer_c"]
    raise RuntimeError("find_package(postgen 999.0) took this version")


def by_pkg_config(prefix, folder, arguments):
    folder.mkdir()
    pc_folder = next(prefix.rglob("postgen.pc")).parent
    environment = {**os.environ, "PKG_CONFIG_PATH": str(pc_folder)}
    programs = []
    for package, compiler, source in (
        ("postgen", [arguments.cxx, "-std=c++20"], "consumer.cc"),
        ("postgen_c", [arguments.cc, "-std=c11"], "consumer.c"),
    ):
        words = run(
            "pkg-config", "--define-prefix", "--cflags", "--libs", package, env=environment
        ).split()
        program = folder / package
        run(*compiler, *arguments.flags.split(), CONSUMER / source, "-o", program, *words)
        programs.append(program)
    return programs


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--cxx", default="c++")
    parser.add_argument("--cc", default="cc")
    parser.add_argument("--flags", default="")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        installed, prefix = folder / "installed", folder / "moved"
        for component in ("postgen_runtime", "postgen_development"):
            run(
                "cmake",
                "--install",
                arguments.build,
                "--component",
                component,
                "--prefix",
                installed,
            )
        installed.rename(prefix)
        library_folder = next(prefix.rglob("libpostgen.so")).parent
        try:
            for program in by_cmake(prefix, folder / "cmake", arguments) + by_pkg_config(
                prefix, folder / "pkg-config", arguments
            ):
                check_post(program, library_folder)
        except RuntimeError as error:
            print(error)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
