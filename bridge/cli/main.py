"""The commands.

In: the command line. Out: text for people or JSON for programs on standard output, logs and errors on standard error,
and an exit code: 0 done, 1 the answer is no (a wrong configuration, an alarm that is not there), 2 it could not run.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import io
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from rich.console import Console

from bridge import config, log
from bridge.aom import TargetSettings
from bridge.cli import alarms, healthcheck, ledger, rule_tests
from bridge.cli import map as map_command
from bridge.cli.check_config import Check
from bridge.cli.options import SWITCHES, default_config, parser
from bridge.cli.send_test import SendTest
from bridge.cli.terminal import pretty, say
from bridge.clock import Millis, format_duration, system_clock
from bridge.emulator import Emulator, Options
from bridge.errors import BridgeError, of_file, of_listening

_log = log.logger("cli")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = parser(COMMANDS).parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except config.ConfigError as error:
        _complain(*error.lines())
        return 2 if isinstance(error, config.UnreadableError) else 1
    except BridgeError as error:
        _complain(f"aom-bridge: {error}")
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        _complain(f"aom-bridge: {f'{error.filename}: ' if error.filename else ''}{of_file(error)}")
        return 2
    except KeyboardInterrupt:
        return 130


def _serve(arguments: argparse.Namespace) -> int:
    import uvloop  # noqa: PLC0415 - the other commands start faster without the server's imports

    from bridge.app import App  # noqa: PLC0415 - as above
    from bridge.ledger import writing_process  # noqa: PLC0415 - as above
    from bridge.web import WebOptions  # noqa: PLC0415 - as above

    log.configure(arguments.log_level, arguments.log_format, for_good=True)
    loaded = _loaded(arguments.config_file)
    address = _address(arguments.listen_address)
    door = WebOptions(
        config_file=arguments.web_config_file,
        admin_address=_address(arguments.admin_address) if arguments.admin_address else None,
        is_admin_open=arguments.is_admin_open,
    )
    file, watch = arguments.config_file, arguments.watch
    gc.set_threshold(20_000, 20, 20)  # a storm makes many objects that live for one request, and few cycles
    writer = writing_process(loaded.settings.store.url)
    try:
        app = App(loaded.settings, address, file=file, watch=watch, door=door, shown=loaded.shown, writer=writer)
        return uvloop.run(_until_stopped(app.start, app.stop, app.reload))
    finally:
        if writer is not None:
            writer.end()


def _loaded(file: str) -> config.Loaded:
    """Read the configuration, and say what is doubtful about it."""
    loaded = config.load(file)
    for problem in (*loaded.missing, *loaded.doubts):
        _log.warning("doubtful configuration", place=f"{file}:{problem.line}", path=problem.path, problem=problem.text)
    return loaded


def _emulator(arguments: argparse.Namespace) -> int:
    host, port = _address(arguments.listen_address)
    switches = {name: getattr(arguments, name) for name in SWITCHES if getattr(arguments, name) is not None}
    options = Options(host=host or "127.0.0.1", port=port, **switches)
    emulator = Emulator(options)

    async def start() -> None:
        try:
            await emulator.start()
        except OSError as error:
            what, fix = of_listening(error, port)
            text = f"{arguments.listen_address} cannot be listened on: {what}"
            raise BridgeError(f"{text}. Fix: {fix} --listen-address.") from None
        project = options.project_id or "demo"
        say(*_EMULATOR_HINT.format(url=emulator.url, token=options.tokens[0], project=project).splitlines())

    return asyncio.run(_until_stopped(start, emulator.stop))


def _demo(arguments: argparse.Namespace) -> int:
    from bridge.demo import Demo  # noqa: PLC0415 - as above

    log.configure("error", "logfmt")
    demo = Demo(Console(), is_live=sys.stdout.isatty(), once=arguments.once)
    return asyncio.run(_demo_until_stopped(demo.run))


def _check_config(arguments: argparse.Namespace) -> int:
    files = arguments.files or [default_config()]
    return _show_checks([Check.of(file, allow_unset=arguments.allow_unset) for file in files], arguments.format)


def _check_web_config(arguments: argparse.Namespace) -> int:
    return _show_checks([Check.of_web(file) for file in arguments.files], arguments.format)


def _show_checks(checked: list[Check], form: str) -> int:
    if form == "json":
        say(*pretty(checked))
    else:
        for check in checked:
            _complain(*(problem.line_of(check.file) for problem in check.problems))
            _complain(*(f"warning: {problem.line_of(check.file)}" for problem in check.warnings))
            if check.is_good:
                say(f"{check.file}: SUCCESS: {check.summary}")
            else:
                _complain(f"{check.file}: FAILED: {len(check.problems)} problem(s)")
    if any(check.is_unreadable for check in checked):
        return 2
    return 0 if all(check.is_good for check in checked) else 1


def _healthcheck(arguments: argparse.Namespace) -> int:
    is_alive, text = healthcheck.ask(*_address(arguments.address))
    say(text)
    return 0 if is_alive else 1


def _test_rules(arguments: argparse.Namespace) -> int:
    results = [(file, *_run_tests(file)) for file in arguments.files]
    for file, some, _ in results:
        say(f"Unit Testing:  {file}")
        for result in some:
            if result.differences:
                say(f"  FAILED: {result.name}", *(f"    {line}" for line in result.differences))
        if not any(result.differences for result in some):
            say(f"  SUCCESS: {len(some)} test(s)")
    if arguments.junit:
        rule_tests.write_junit(arguments.junit, [(file, some) for file, some, _ in results])
    return max(code for _, _, code in results)


def _run_tests(file: str) -> tuple[list[rule_tests.Result], int]:
    """Run one file; one that cannot be used is a failure of its own, and the others still run."""
    try:
        results = rule_tests.run_file(file)
    except config.ConfigError as error:
        code = 2 if isinstance(error, config.UnreadableError) else 1
        return [rule_tests.Result(name="the file itself", differences=error.lines())], code
    return results, int(any(result.differences for result in results))


def _send_test(arguments: argparse.Namespace) -> int:
    settings = config.load(arguments.config_file).settings
    log.configure("error", "logfmt", io.StringIO())  # the steps say it all
    names = arguments.target or list(settings.targets)
    unknown = [name for name in names if name not in settings.targets]
    if unknown:
        known = ", ".join(settings.targets)
        raise BridgeError(f"no target is called {unknown[0]!r}. Fix: one of {known}.")
    return asyncio.run(_try_targets({name: settings.targets[name] for name in names}, arguments.wait))


async def _try_targets(targets: Mapping[str, TargetSettings], wait: Millis | None) -> int:
    failed = 0
    for name, target in targets.items():
        say(f"target {name}: {target.aom_url}, project {target.project_id}")
        steps = SendTest(name, target, target.lookup_wait if wait is None else wait, system_clock)
        async for step in steps.run():
            failed += step.outcome == "FAIL"
            took = format_duration(step.took) if step.outcome != "skip" else ""
            say(f"  {step.outcome:<5} {step.name:<12} {took:>8}  {step.text}")
            if step.fix:
                say(f"{'':21}{'':>8}  Fix: {step.fix}")
    say("this does not work yet" if failed else "alarms can be reported, found and cleared")
    return 1 if failed else 0


async def _until_stopped(
    start: Callable[[], Any], stop: Callable[[], Any], reload: Callable[[], Coroutine[Any, Any, Any]] | None = None
) -> int:
    """Run until SIGTERM or SIGINT; SIGHUP reloads."""
    stopped = asyncio.Event()
    reloads: set[asyncio.Task[Any]] = set()
    is_ready = False
    loop = asyncio.get_running_loop()

    def begin_reload() -> None:
        if reload is not None and is_ready:
            task = asyncio.create_task(reload())
            reloads.add(task)
            task.add_done_callback(reloads.discard)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    # Not the loop's: when that lets a signal go, the next one ends the process for a moment.
    signal.signal(signal.SIGHUP, lambda *_: loop.call_soon_threadsafe(begin_reload))
    try:
        await start()
        is_ready = True
        await stopped.wait()
        is_ready = False
        await asyncio.gather(*reloads, return_exceptions=True)
        await stop()
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # one that comes late must not look like a crash
    return 0


async def _demo_until_stopped(run: Callable[[asyncio.Event], Any]) -> int:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    return int(await run(stopped))


def _address(text: str) -> tuple[str, int]:
    """Read ``HOST:PORT``, ``:PORT`` or ``[IPv6]:PORT``."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65_535:
        raise BridgeError(f"{text!r} is not an address. Fix: write HOST:PORT, or :PORT for all addresses.")
    return host.strip("[]"), int(port)


def _complain(*lines: str) -> None:
    say(*lines, file=sys.stderr)


_EMULATOR_HINT = """AOM and IAM emulator: {url}
  page          {url}/
  state         {url}/emulator/state
  faults        curl {url}/emulator/faults -d '{{"on": "report", "status": 503, "count": 2}}'
                curl -X DELETE {url}/emulator/faults
  IAM           domain, user and password: emulator; AK/SK: emulator-ak, emulator-sk
A target for the bridge's configuration:
  targets:
    default:
      endpoint: {url}
      project_id: {project}
      auth: {{token: {{value: {token}}}}}
Ctrl-C ends it."""

COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "serve": _serve,
    "demo": _demo,
    "emulator": _emulator,
    "check-config": _check_config,
    "check-web-config": _check_web_config,
    "healthcheck": _healthcheck,
    "map": map_command.run,
    "test-rules": _test_rules,
    "send-test": _send_test,
    **alarms.COMMANDS,
    **ledger.COMMANDS,
}
