"""Reads what a test run left (subunit) and tells what became of each test, as JSON; run by Tempest's own Python."""

import json
import sys
from typing import Any

import subunit
import testtools

STATUSES = {"success": "success", "skip": "skip"}
"""All else is a failure: an error, a test that never ended, one that passed against its own expectation."""

PRINTED = "printed"
"""The name under which comes what tests print between their results."""


def main() -> None:
    """From standard input to standard output: ``[status, reason or error]`` by the tests' names."""
    outcomes: dict[str, list[str]] = {}

    def told(test: dict[str, Any]) -> None:
        if test["id"] == PRINTED:
            return
        status = STATUSES.get(test["status"], "failure")
        name = test["id"].partition("[")[0]
        # Logs and what was printed are attachments, too; a reason or a traceback is what they are not.
        details = {key: detail.as_text() for key, detail in test["details"].items() if key in ("reason", "traceback")}
        outcomes[name] = [status, "\n".join(details.values())]

    result = testtools.StreamToDict(told)
    result.startTestRun()
    subunit.ByteStreamToStreamResult(sys.stdin.buffer, non_subunit_name=PRINTED).run(result)
    result.stopTestRun()
    json.dump(outcomes, sys.stdout)


main()
