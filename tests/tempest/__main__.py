"""``make tempest``: OpenStack's own tests against a whole cloud, with their progress and a summary.

    python -m tests.tempest [SUITE …] [--only REGEX] [--workers N]

The exit code is 0 when nothing failed but what is listed with a reason.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.tempest import stestr, whole
from tests.tempest.suites import SUITES, Outcomes, Suite, listed, unexplained


def main() -> int:
    """Run the suites; returns the exit code."""
    arguments = _parser().parse_args()
    if wrong := sorted(set(arguments.suites) - SUITES.keys()):
        sys.exit(f"there is no suite {', '.join(wrong)}; there are {', '.join(SUITES)}")
    directory = Path(tempfile.mkdtemp(prefix="netloom-tempest-"))
    unexpected: dict[str, str] = {}
    with whole.at_hand() as enter:
        for name in arguments.suites or SUITES:
            suite = SUITES[name]
            if arguments.only:
                suite = suite._replace(pattern=f"(?=.*(?:{arguments.only})){suite.pattern}")
            unexpected |= _run(name, suite, enter, directory / name, arguments.workers)
    if unexpected:
        print(f"\nNot listed, and failed ({directory} has the logs):")
        print("\n".join(f"  {name}\n{_indented(error)}" for name, error in unexpected.items()))
        return 1
    shutil.rmtree(directory)
    print("\nNothing failed but what is listed with a reason.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.tempest", description="Run OpenStack's own tests.")
    parser.add_argument("suites", metavar="SUITE", nargs="*", help=f"of {', '.join(SUITES)} (default: all)")
    parser.add_argument("--only", metavar="REGEX", help="only tests of these whose names match")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="tests at a time (default: %(default)s)")
    return parser


def _run(name: str, suite: Suite, enter: whole.Enter, directory: Path, workers: int) -> dict[str, str]:
    """Run a suite and tell how it went; returns what failed and is not listed."""
    directory.mkdir()
    whole.configure(enter, directory)
    print(f"\n== {name}", flush=True)
    began = time.monotonic()
    outcomes = stestr.run(directory, suite.pattern, enter, progress=True, workers=workers)
    _summarise(name, suite, outcomes, time.monotonic() - began)
    return suite.unexpected(outcomes)


def _summarise(name: str, suite: Suite, outcomes: Outcomes, seconds: float) -> None:
    counts = Counter(outcome.status for outcome in outcomes.values())
    passed, failed, skipped = counts["success"], counts["failure"], counts["skip"]
    print(f"\n{name}: {passed} passed, {failed} failed, {skipped} skipped in {seconds:.0f} s")
    known = listed(suite.failures)
    for test, outcome in sorted(outcomes.items()):
        if outcome.status == "failure":
            print(f"  failed   {test}: {known.get(test, 'not listed')}")
    reasons = Counter(" ".join(outcome.reason.split()) for outcome in outcomes.values() if outcome.status == "skip")
    for reason, count in reasons.most_common():
        print(f"  skipped  {count:4} {reason}")
    if missing := set(unexplained(outcomes).values()):
        print(f"  ({len(missing)} of these reasons are not listed in tests/tempest/skips.txt)")


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


sys.exit(main())
