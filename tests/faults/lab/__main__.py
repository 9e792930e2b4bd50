"""``python -m tests.faults.lab``: exit code 0 without a finding, 1 with one, 2 when it fell short of what was asked."""

from __future__ import annotations

import asyncio
import sys

from tests.faults.lab.options import RESULTS, parse
from tests.faults.lab.report import write
from tests.faults.lab.run import run


def main() -> int:
    options = parse()
    report = asyncio.run(run(options))
    print(report.text())
    if options.write:
        write(RESULTS, report)
    if not report.is_clean:
        return 1
    return 2 if report.shortfalls else 0


if __name__ == "__main__":
    sys.exit(main())
