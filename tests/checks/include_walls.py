#!/usr/bin/env python3
"""Who may include whom: the walls between postgen's rooms.

    include_walls.py            checks the repository
    include_walls.py --self-test    checks that each wall holds against a planted breach

A room (postgen_room in src/**/CMakeLists.txt) includes itself and the rooms that it names under
DEPENDS, directly or through those; rooms may only name rooms above them in src/CMakeLists.txt.
Outside libraries appear where LIBRARIES below says so. Rooms marked pure do no input or output of
their own. Public headers are std-only; what lives outside of src meets public headers only.
"""

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[2]

# First part of an outside header -> folders of src that may include it.
LIBRARIES = {
    "absl/": ["src"],
    "curl/": ["src/llm/transport"],
    "simdjson.h": ["src/request", "src/llm/wire"],
    "libpq-fe.h": ["src/store"],
    "sqlite3.h": ["src/store"],
    "openssl/evp.h": ["src/digest"],
    "openssl/hmac.h": ["src/digest"],
    "openssl/sha.h": ["src/digest"],
    "openssl/ssl.h": ["src/llm/transport"],
    "hiredis/": ["src/redis"],
}

# No descriptors, threads or processes: facts in, facts out.
PURE = ["text", "json", "digest", "meter", "request", "prompt", "version", "llm/wire", "llm/policy"]
IMPURE_HEADERS = re.compile(
    r"^(sys/(?!types\.h)|netinet/|arpa/|unistd\.h|fcntl\.h|poll\.h|pthread\.h|signal\.h|thread$|mutex$|"
    r"condition_variable$|future$|runtime/event_loop\.h)"
)

# The standard library, C's included.
STANDARD = re.compile(r"^c?[a-z_]+$")
SYSTEM = re.compile(r"^(sys/\w+|netinet/\w+|arpa/\w+|[a-z0-9_]+)\.h$")

# Folders outside of src, and the outside headers (besides std and system ones) that belong there.
OUTSIDE = {
    "capi": r"$^",
    "bindings": r"^(pybind11/|Python\.h$)",
    "benchmarks": r"^curl/",  # for the floors that we are measured against
    "tools/emulator": r"^(boost/|openssl/|simdjson\.h$|doctest/)",
}
MAY_USE_POSTGEN = ["capi", "bindings", "benchmarks"]

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)
SOURCE_SUFFIXES = {".h", ".hpp", ".cc", ".c"}


@dataclass
class Room:
    name: str
    folder: str  # below src, "" for none
    depends: list = field(default_factory=list)


@dataclass
class Tree:
    files: dict  # path -> text
    rooms: list  # in the order of src/CMakeLists.txt


def strip_comments(cmake):
    return re.sub(r"#[^\n]*", "", cmake)


def read_rooms(folder, below=""):
    """The rooms of `folder`'s CMakeLists.txt and of those that it adds, in order."""
    text = strip_comments((folder / "CMakeLists.txt").read_text(encoding="utf-8"))
    rooms = []
    for match in re.finditer(r"\b(add_subdirectory|postgen_room)\s*\(([^)]*)\)", text):
        words = match.group(2).split()
        if match.group(1) == "add_subdirectory":
            rooms += read_rooms(folder / words[0], f"{below}{words[0]}/")
            continue
        sources, depends, keyword = [], [], ""
        for word in words[1:]:
            if word in ("SOURCES", "DEPENDS", "LIBRARIES"):
                keyword = word
            elif keyword == "SOURCES":
                sources.append(word)
            elif keyword == "DEPENDS":
                depends.append(word)
        inside = PurePosixPath(below + sources[0]).parent
        rooms.append(Room(words[0], "" if str(inside) == "." else str(inside), depends))
    return rooms


def read_tree():
    files = {}
    for top in ("include", "src", *OUTSIDE):
        for path in sorted((ROOT / top).rglob("*")):
            if path.suffix in SOURCE_SUFFIXES and path.is_file():
                files[path.relative_to(ROOT).as_posix()] = path.read_text(encoding="utf-8")
    return Tree(files, read_rooms(ROOT / "src"))


def reachable(rooms):
    """Room name -> names of the rooms it may include, itself among them."""
    by_name = {room.name: room for room in rooms}
    result = {}

    def visit(name):
        if name not in result:
            result[name] = {name}
            for dependency in by_name[name].depends:
                if dependency in by_name:
                    result[name] |= visit(dependency)
        return result[name]

    for room in rooms:
        visit(room.name)
    return result


def under(path, folder):
    return path == folder or path.startswith(folder + "/")


def rooms_of(path, rooms):
    """The rooms whose folder is the closest one above src/`path`; two may share a folder."""
    folder = str(PurePosixPath(path).parent)
    while folder != ".":
        found = [room for room in rooms if room.folder == folder]
        if found:
            return found
        folder = str(PurePosixPath(folder).parent)
    return []


def check_room_order(rooms):
    seen = set()
    for room in rooms:
        for dependency in room.depends:
            if dependency not in seen:
                yield f"room {room.name}: depends on {dependency}, which is not above it in src/CMakeLists.txt"
        seen.add(room.name)


def is_standard(header):
    return bool(STANDARD.match(header) or SYSTEM.match(header)) and not library_of(header)


def library_of(header):
    for library in LIBRARIES:
        if header.startswith(library):
            return library
    return None


def check_public(path, header):
    if header.startswith("postgen/") or STANDARD.match(header):
        return
    yield f"{path}: <{header}>: public headers are std-only"


def check_src(path, header, tree, allowed):
    own = rooms_of(path[len("src/") :], tree.rooms)
    if header.startswith("postgen/"):
        return
    library = library_of(header)
    if library:
        if not any(under(path, folder) for folder in LIBRARIES[library]):
            yield f"{path}: <{header}> belongs to {', '.join(LIBRARIES[library])}"
        return
    if any(room.folder in PURE for room in own) and IMPURE_HEADERS.match(header):
        yield f"{path}: <{header}> in a pure room"
    if f"src/{header}" in tree.files:
        theirs = rooms_of(header, tree.rooms)
        may = set().union(*(allowed[room.name] for room in own)) if own else set()
        if not any(room.name in may for room in theirs):
            names = " or ".join(room.name for room in theirs) or "no room"
            yield f'{path}: "{header}" is of {names}, which its room does not depend on'
    elif not is_standard(header):
        yield f"{path}: <{header}> is neither std, postgen nor a library that is named here"


def check_outside(path, header, tree):
    top = next(folder for folder in OUTSIDE if under(path, folder))
    if re.match(OUTSIDE[top], header):
        return
    if header.startswith("postgen/"):
        if top not in MAY_USE_POSTGEN:
            yield f"{path}: <{header}>: {top} knows nothing of postgen"
        return
    beside = (PurePosixPath(path).parent / header).as_posix()
    if beside in tree.files or f"{top}/{header}" in tree.files:
        return
    if f"src/{header}" in tree.files:
        yield f'{path}: "{header}" is inside src: only public headers here'
    elif not is_standard(header):
        yield f"{path}: <{header}> is not for {top}"


def violations(tree):
    yield from check_room_order(tree.rooms)
    allowed = reachable(tree.rooms)
    for path, text in tree.files.items():
        for match in INCLUDE.finditer(text):
            header = match.group(2)
            if path.startswith("include/"):
                yield from check_public(path, header)
            elif path.startswith("src/"):
                yield from check_src(path, header, tree, allowed)
            else:
                yield from check_outside(path, header, tree)


def self_test():
    rooms = [
        Room("text", "text"),
        Room("runtime", "runtime"),
        Room("request", "request", ["text"]),
        Room("prompt", "prompt", ["text"]),
        Room("store", "store", ["request"]),
        Room("llm_transport", "llm/transport", ["runtime"]),
    ]
    sound = {
        "include/postgen/types.h": '#include <string>\n#include "postgen/error.h"\n',
        "src/text/utf8.h": "#include <string_view>\n",
        "src/runtime/event_loop.h": "#include <sys/epoll.h>\n#include <absl/container/flat_hash_map.h>\n",
        "src/request/json.cc": '#include <simdjson.h>\n#include "text/utf8.h"\n#include "postgen/json.h"\n',
        "src/store/pg.cc": '#include <libpq-fe.h>\n#include "text/utf8.h"\n',
        "capi/capi.cc": '#include "guard.h"\n#include "postgen/json.h"\n',
        "capi/guard.h": "#include <cxxabi.h>\n",
        "bindings/python/module.cc": "#include <pybind11/pybind11.h>\n#include <postgen/postgen.h>\n",
        "tools/emulator/main.cc": "#include <boost/asio/ip/tcp.hpp>\n",
    }
    breaches = [
        ("include/postgen/a.h", "#include <absl/strings/str_cat.h>"),
        ("include/postgen/a.h", "#include <unistd.h>"),
        ("include/postgen/a.h", '#include "text/utf8.h"'),
        ("src/text/a.cc", "#include <curl/curl.h>"),
        ("src/text/a.cc", "#include <sys/socket.h>"),
        ("src/prompt/a.cc", "#include <simdjson.h>"),
        ("src/prompt/a.cc", "#  include <thread>"),
        ("src/prompt/a.cc", '#include "request/json.h"'),
        ("src/text/a.cc", '#include "store/pg.h"'),
        ("src/request/a.cc", "#include <sqlite3.h>"),
        ("src/request/a.cc", "#include <openssl/evp.h>"),
        ("src/store/a.cc", "#include <openssl/ssl.h>"),
        ("src/store/a.cc", "#include <boost/asio.hpp>"),
        ("src/llm/transport/a.cc", "#include <hiredis/hiredis.h>"),
        ("capi/a.cc", '#include "text/utf8.h"'),
        ("capi/a.cc", "#include <absl/strings/str_cat.h>"),
        ("bindings/python/a.cc", '#include "request/json.h"'),
        ("benchmarks/a.cc", '#include "text/utf8.h"'),
        ("benchmarks/a.cc", "#include <libpq-fe.h>"),
        ("tools/emulator/a.cc", "#include <postgen/postgen.h>"),
        ("tools/emulator/a.cc", '#include "text/utf8.h"'),
    ]
    headers = {"src/request/json.h": "", "src/store/pg.h": ""}
    failures = [
        f"found in sound code: {found}" for found in violations(Tree({**sound, **headers}, rooms))
    ]
    for path, line in breaches:
        found = list(violations(Tree({**sound, **headers, path: line + "\n"}, rooms)))
        if len(found) != 1:
            failures.append(f"{path}: {line}: found {found}")
    upward = [Room("text", "text", ["store"]), *rooms[1:]]
    if not list(violations(Tree({}, upward))):
        failures.append("a room that depends on one below it was not found")
    return failures


def main():
    tree = read_tree()
    if "--self-test" in sys.argv[1:]:
        found = self_test()
    else:
        found = list(violations(tree))
        if len(tree.rooms) < 10 or len(tree.files) < 50:
            found.append(f"only {len(tree.rooms)} rooms and {len(tree.files)} files were read")
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
