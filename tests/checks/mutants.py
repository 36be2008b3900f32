#!/usr/bin/env python3
"""The schedules of calls (tests/unit/llm/schedule_test.cc) find planted mistakes.

mutants.py --build DIR      a build of postgen_llm_schedule_tests by Ninja

Each mutant is one file of src/llm with one mistake in it: compiled beside the build and linked
before the libraries, so that the build and the tree stay as they are.
"""

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGET = "tests/unit/llm/postgen_llm_schedule_tests"
LONGEST_S = 120

# name, file, what stands there once, what the mutant has instead
MUTANTS = [
    (
        "retry after text",
        "src/llm/completion_call.cc",
        "failure.text_delivered = text_delivered_ && sink_.on_reset == nullptr;",
        "failure.text_delivered = false;",
    ),
    (
        "text is not taken back",
        "src/llm/completion_call.cc",
        "if (std::exchange(text_delivered_, false)) sink_.on_reset();",
        "text_delivered_ = false;",
    ),
    (
        "a second attempt beside a token",
        "src/llm/completion_call.cc",
        "  watch_.OnToken(of_second);\n",
        "",
    ),
    (
        "second attempts without an account",
        "src/llm/policy/hedge.cc",
        "saved_percent_ >= 100",
        "saved_percent_ > -1000",
    ),
    (
        "the loser runs on",
        "src/llm/completion_call.cc",
        "  second_.reset();\n",
        "  (void)second_.release();\n",
    ),
    (
        "the loser is off the bill",
        "src/llm/completion_call.cc",
        "spent_.Add(completion.usage, UsageKind::kExact);",
        "spent_.Add({}, UsageKind::kExact);",
    ),
    (
        "a cancelled call keeps its permit",
        "src/llm/attempt.cc",
        "  GivePermitBack(/*cancelled=*/true);\n",
        "",
    ),
    (
        "a place is given on too early",
        "src/llm/attempt.cc",
        "  Close();  // first: others may be sent from within\n"
        "  GivePermitBack(/*cancelled=*/false);\n",
        "  GivePermitBack(/*cancelled=*/false);\n  Close();\n",
    ),
    (
        "a timer is left",
        "src/llm/completion_call.cc",
        "  if (attempt_ != nullptr) attempt_->Cancel();\n"
        "  context_->executor->CancelTimer(std::exchange(timer_, 0));\n",
        "  if (attempt_ != nullptr) attempt_->Cancel();\n",
    ),
    (
        "attempts without end",
        "src/llm/policy/retry.cc",
        "  if (history.attempts >= options.max_attempts) return std::nullopt;\n",
        "",
    ),
    (
        "a cut stream is complete",
        "src/llm/wire/reply_reader.cc",
        "ReplyForm::kEventStream && !done_) {",
        "ReplyForm::kEventStream && completion_.text.empty()) {",
    ),
    (
        "the deadline does not end a call that runs",
        "src/llm/completion_call.cc",
        "if (now >= Due()) return OnDeadline();",
        "if (now >= Due()) return state_ == State::kRunning ? void() : OnDeadline();",
    ),
]


def run(command, cwd, **options):
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, **options)


def compile_command(build, source):
    for entry in json.loads((build / "compile_commands.json").read_text()):
        if Path(entry["file"]) == source:
            return entry
    sys.exit(f"mutants: {source} is not in compile_commands.json")


def survives(build, scratch, mutant):
    """Why the mutant is not found; None: it is."""
    _, name, old, new = mutant
    source = ROOT / name
    text = source.read_text()
    if text.count(old) != 1:
        return f"its place in {name} is there {text.count(old)} times"
    copy = scratch / source.name
    copy.write_text(text.replace(old, new))
    entry = compile_command(build, source)
    compiled = scratch / "mutant.o"
    words = shlex.split(entry["command"])
    words[words.index("-o") + 1] = str(compiled)
    words[words.index("-c") + 1] = str(copy)
    if (done := run([*words, "-Wno-error"], entry["directory"])).returncode != 0:
        return "it does not compile: " + done.stderr.strip().splitlines()[0]
    steps = run(["ninja", "-t", "commands", TARGET], build).stdout.strip().splitlines()
    program = scratch / "mutant"
    link = steps[-1].replace(f"-o {TARGET} ", f"-o {program} {compiled} ", 1)
    if (done := run(link, build, shell=True)).returncode != 0 or not program.exists():
        return "it does not link: " + done.stderr.strip()
    try:
        found = run([program, "-tc=*every call keeps*"], scratch, timeout=LONGEST_S)
    except subprocess.TimeoutExpired:
        return None  # it hangs, which is found
    return "no schedule breaks a rule" if found.returncode == 0 else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, required=True)
    build = parser.parse_args().build.resolve()
    alive = 0
    for mutant in MUTANTS:
        with tempfile.TemporaryDirectory() as scratch:
            why = survives(build, Path(scratch), mutant)
        print(f"{mutant[0]}: {why or 'found'}", flush=True)
        alive += why is not None
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())
