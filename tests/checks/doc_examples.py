#!/usr/bin/env python3
"""The examples in headers and documents are, word for word, in programs that are compiled.

doc_examples.py             compares; white space and comment marks do not count
doc_examples.py --self-test
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Where examples are shown -> the program that must contain them.
SHOWN = {
    "include/postgen/*.h": "tests/checks/doc_examples.cc",
    "capi/include/postgen/c.h": "tests/c/header_example_test.c",
    "docs/c-api.md": "tests/c/doc_example_test.c",
}
FEWEST_EXAMPLES = 9

CODE = re.compile(r"[;{}]\s*(//.*)?$", re.MULTILINE)


def indented_blocks(text, mark):
    """Paragraphs of a comment that are indented under `mark`."""
    block = []
    for line in [*text.splitlines(), ""]:
        if line.startswith(mark + "   "):
            block.append(line[len(mark) :])
        elif block and line.rstrip() == mark.rstrip():
            block.append("")
        elif block:
            yield "\n".join(block)
            block = []


def examples(name, text):
    if name.endswith(".md"):
        return re.findall(r"```(?:c|cpp)\n(.*?)```", text, re.DOTALL)
    marks = " *" if name.endswith("/c.h") else "//"
    # Of C, the head alone: further down, what looks alike is prose.
    text = text.split("*/")[0] if marks == " *" else text
    blocks = indented_blocks(text, marks)
    return [block for block in blocks if len(CODE.findall(block)) >= 2]


def bare(text):
    return re.sub(r"\s+", "", text)


def differences(shown):
    """`shown`: list of (name, text, program)."""
    for name, text, program in shown:
        for example in examples(name, text):
            if bare(example) not in bare(program):
                yield f"{name}: this example is not compiled as it is shown:\n{example}"


def read():
    for pattern, program in SHOWN.items():
        for path in sorted(ROOT.glob(pattern)):
            yield (
                path.relative_to(ROOT).as_posix(),
                path.read_text(encoding="utf-8"),
                (ROOT / program).read_text(encoding="utf-8"),
            )


def self_test():
    failures = []
    cases = {
        "include/postgen/a.h": "// A.\n//\n//   int a = 1;\n//   Use(a);\n#ifndef A\n",
        "capi/include/postgen/c.h": "/*\n * A.\n *\n *   int a = 1;\n *   Use(a);\n *\n */\n",
        "docs/a.md": "A.\n```c\nint a = 1;\nUse(a);\n```\n",
    }
    for name, text in cases.items():
        if list(differences([(name, text, "void F() {\n  int a = 1;\n  Use(a);\n}\n")])):
            failures.append(f"{name}: a sound example was found")
        if not list(differences([(name, text, "void F() {\n  int a = 2;\n  Use(a);\n}\n")])):
            failures.append(f"{name}: a changed example was not found")
    return failures


def main():
    if "--self-test" in sys.argv[1:]:
        found = self_test()
    else:
        shown = list(read())
        found = list(differences(shown))
        count = sum(len(examples(name, text)) for name, text, _ in shown)
        if count < FEWEST_EXAMPLES:
            found.append(f"only {count} examples were found")
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
