"""The benchmark's command line: `python -m bench`."""

from __future__ import annotations

import argparse
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from bench import acceptance, access, alertmanager, large, mapping, memory, million, rounds, start, targets
from bench.plan import Plan, plan
from bench.table import Findings, Row, failed, render

FIGURES: dict[str, Callable[[Plan], Findings]] = {
    "acceptance": acceptance.measure,
    "access": access.measure,
    "alertmanager": alertmanager.measure,
    "large": large.measure,
    "mapping": mapping.measure,
    "memory": memory.measure,
    "start": start.measure,
    "million": million.measure,
    "rounds": rounds.measure,
    "targets": targets.measure,
}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description="Measure the bridge beside a forward-only relay.")
    parser.add_argument("--only", action="append", choices=FIGURES, help="measure only this; may be given again")
    parser.add_argument("--rounds", type=int, metavar="N", help="alternating rounds (default: 5, with --small 1)")
    parser.add_argument("--small", action="store_true", help="a smoke run of seconds; its figures mean nothing")
    parser.add_argument("--folder", type=Path, default=Path(".bench"), help="for ledgers, on a real disk")
    parser.add_argument("--output", type=Path, help="the report (default: report.md in the folder)")
    return parser.parse_args()


def _main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that every process started here is ended
    arguments = _arguments()
    folder = arguments.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n")
    turns = arguments.rounds or (1 if arguments.small else 5)
    sizes = plan(folder, turns, small=arguments.small)
    rows: list[Row] = []
    details: list[str] = []
    errors, report = 0, ""
    for name in arguments.only or FIGURES:
        begun = time.monotonic()
        try:
            findings = FIGURES[name](sizes)
        except Exception as error:  # noqa: BLE001 - the other figures are still worth having
            traceback.print_exc()
            findings, errors = Findings(rows=[failed(name, error)]), errors + 1
        rows += findings.rows
        details += findings.details
        sys.stderr.write(f"bench: {name} took {time.monotonic() - begun:.0f} s\n")
        report = render(rows, details, rounds=turns, small=arguments.small)
        (arguments.output or folder / "report.md").write_text(report)
    sys.stdout.write(report)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(_main())
