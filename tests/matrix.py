"""The fault matrix and the security checklist, told from the tests themselves.

A test says by its name which row it proves: `test_f45_...` a fault, `test_s18_...` a point of the checklist; several in
one name are fine. A whole run prints both tables with pass, fail or missing, and a missing or failed row fails the run
where nothing may be skipped (CONDUCTOR_TEST_REQUIRE_ALL, as in CI).
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Mapping

import pytest

FAULTS = {
    1: "token refused in the middle of a pass",
    2: "scope missing",
    3: "token endpoint answers with a page",
    4: "absurd token lifetimes",
    5: "rate limit at the token endpoint",
    6: "client secret rotated at the vendor",
    7: "rotation takes its time",
    8: "many want a token at once",
    9: "429 without headers",
    10: "every form of Retry-After",
    11: "absurd rate reset",
    12: "rate nearly used up",
    13: "5xx for minutes and hours",
    14: "position refused, 404",
    15: "an error object with status 200",
    16: "body cut off",
    17: "wrong content type or encoding",
    18: "bombs and stacked encodings",
    19: "drip feed",
    20: "one huge record",
    21: "poison values",
    22: "record without a usable id",
    23: "one id, two bodies",
    24: "header flood, foreign Link",
    25: "ids twice in a page or across pages",
    26: "page out of order",
    27: "short page",
    28: "no progress",
    29: "checkpoint expired",
    30: "our outage outlasts the retention",
    31: "late records",
    32: "ids of another make",
    33: "local clock jumps",
    34: "Date missing or absurd",
    35: "leap seconds and time zones",
    36: "suspend and resume",
    37: "DNS fails",
    38: "DNS answers a private address",
    39: "TLS not to be trusted",
    40: "proxy fails",
    41: "redirect",
    42: "lost packets, resets, black hole",
    43: "IPv6 broken",
    44: "kept-alive connection closed by the peer",
    45: "kill -9 at every system call of a commit",
    46: "kill between commit and its answer",
    47: "power loss",
    48: "fsync fails",
    49: "disk full",
    50: "read-only, no file descriptors, no memory",
    51: "database locked by another process",
    52: "database corrupt",
    53: "old backup restored",
    54: "upgrade killed half-way",
    55: "two starts at once, a thousand polls at once",
    56: "renamed while polling",
    57: "removed while polling",
    58: "made again under the old name",
    59: "edited in its sleep",
    60: "backlog of days",
    61: "event loop stalls",
    62: "a poller crashes",
    63: "stopped in the middle of a page",
    64: "two workers believe they own an integration",
    65: "worker cut off from the store",
    66: "worker sleeps past its lease",
    67: "commit with unknown outcome",
    68: "a store loses its acknowledged tail",
    69: "workers' clocks differ",
    70: "lease store down",
    71: "a worker of many integrations is lost",
}
CHECKLIST = {
    1: "all egress through the guard",
    2: "the guard's deny list",
    3: "redirects never followed",
    4: "private targets by the operator only",
    5: "TLS verified, no way to skip it",
    6: "passwords",
    7: "no default account",
    8: "login throttle",
    10: "session ids",
    11: "cookie attributes",
    13: "cross-site requests",
    14: "security headers",
    15: "event content is text",
    16: "authorization matrix",
    17: "secrets are write-only",
    18: "another host asks for the secret again",
    19: "envelope encryption",
    21: "redaction",
    22: "no secret in URL, argv, environment",
    23: "generic errors",
    24: "SQL parameters bound",
    25: "limits",
    27: "unknown fields refused",
    29: "audit of every deed",
    31: "log and CSV injection",
    36: "hash-locked dependencies",
}
_ROW = re.compile(r"(?<=[_/\[-])([fs])(\d\d)(?=[_\]\[/-]|$)")
_results: dict[str, set[str]] = defaultdict(set)


def rows_of(node: str) -> set[str]:
    """The rows that a test's id names: `f45`, `s18`."""
    return {kind + number for kind, number in _ROW.findall(node.rpartition("::")[2])}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note how each row's tests went; a skipped one proves nothing."""
    if report.when == "call" or report.failed:
        for row in rows_of(report.nodeid):
            _results[row].add(report.outcome)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A whole run with a missing row has failed. One of several processes does not know what the others proved."""
    if (
        not hasattr(session.config, "workerinput")
        and _whole(session.config)
        and _strict()
        and session.exitstatus == 0
        and _lacking()
    ):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print both tables after a whole run."""
    if not _whole(config):
        return
    for title, letter, table in (("faults", "f", FAULTS), ("security checklist", "s", CHECKLIST)):
        terminalreporter.section(title)
        for number, text in table.items():
            terminalreporter.write_line(f"{letter.upper()}-{number:02} {_verdict(letter, number):8} {text}")
    if lacking := _lacking():
        terminalreporter.write_line(f"not proved: {', '.join(lacking)}", red=True)


def _verdict(letter: str, number: int) -> str:
    seen = _results.get(f"{letter}{number:02}", set())
    if "failed" in seen:
        return "fail"
    return "pass" if "passed" in seen else "missing"


def _lacking() -> list[str]:
    tables: Mapping[str, Mapping[int, str]] = {"f": FAULTS, "s": CHECKLIST}
    return [
        f"{letter.upper()}-{number:02}"
        for letter, table in tables.items()
        for number in table
        if _verdict(letter, number) != "pass"
    ]


def _whole(config: pytest.Config) -> bool:
    """Everything was asked for: no path, no expression, no marker."""
    return config.args_source is not pytest.Config.ArgsSource.ARGS and not (
        config.option.keyword
        or config.option.markexpr
        or config.option.collectonly
        or getattr(config.option, "lf", False)
    )


def _strict() -> bool:
    return bool(os.environ.get("CONDUCTOR_TEST_REQUIRE_ALL"))
