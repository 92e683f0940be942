"""The command `aom-bridge serve`: runs the bridge until it is stopped.

In: the command line and the configuration file. Out: a running bridge, log lines on standard error, and the exit code
0.
"""

from __future__ import annotations

import argparse

from bridge import config
from bridge.cli.options import DEFAULT_ADDRESS, Commands, add_command, add_config_file, find_config, parse_address

_CODES = {0: "it was stopped", 1: "the configuration is wrong"}
_LEVELS = ("debug", "info", "warn", "error")


def register(commands: Commands) -> None:
    """Add the command."""
    serve = add_command(commands, "serve", _run, "run the bridge", codes=_CODES)
    add_config_file(serve)
    serve.set_defaults(needs_config=False)  # that none is found is told in the log's format, too
    serve.add_argument(
        "--web.listen-address",
        dest="listen_address",
        default=DEFAULT_ADDRESS,
        metavar="ADDRESS",
        help=f"address to listen on; default: {DEFAULT_ADDRESS}",
    )
    serve.add_argument(
        "--web.admin-listen-address",
        dest="admin_address",
        metavar="ADDRESS",
        help="address for status and changes; --web.listen-address then serves only webhooks and probes",
    )
    serve.add_argument(
        "--web.config.file",
        dest="web_config_file",
        default="",
        metavar="FILE",
        help="TLS, users, tokens and their rights, in the format of Prometheus; reloaded when it changes",
    )
    serve.add_argument(
        "--web.enable-admin",
        dest="is_admin_open",
        action="store_true",
        help="accept reloads and changes of alarms from any address; default: from loopback or with that right only",
    )
    serve.add_argument(
        "--config.watch", dest="watch", action="store_true", help="reload when the configuration file changes"
    )
    serve.add_argument("--log.level", dest="log_level", choices=_LEVELS, default="info", help="default: info")
    serve.add_argument(
        "--log.format", dest="log_format", choices=("logfmt", "json"), default="logfmt", help="default: logfmt"
    )


def _run(arguments: argparse.Namespace) -> int:
    from bridge import log
    from bridge.errors import BridgeError
    from bridge.typed_yaml.problems import ConfigError, UnreadableError

    log.configure(arguments.log_level, arguments.log_format, for_good=True)
    try:
        return _serve(arguments)
    except ConfigError as error:
        for line in error.lines():
            log.logger("cli").error("the configuration is wrong; the bridge does not start", problem=line)
        return 2 if isinstance(error, UnreadableError) else 1
    except (BridgeError, OSError) as error:
        log.logger("cli").error("the bridge cannot run", problem=_sentence(error))
        return 2


def _serve(arguments: argparse.Namespace) -> int:

    import uvloop

    from bridge.app import App
    from bridge.cli.signals import run_until_stopped
    from bridge.ledger import WriterProcess
    from bridge.web import WebOptions

    file, watch = arguments.config_file or find_config(), arguments.watch
    loaded = _load(file)
    address = parse_address(arguments.listen_address)
    options = WebOptions(
        config_file=arguments.web_config_file,
        admin_address=parse_address(arguments.admin_address) if arguments.admin_address else None,
        is_admin_open=arguments.is_admin_open,
    )
    writer = WriterProcess(loaded.settings.store.url)
    try:
        app = App(
            loaded.settings,
            address,
            file=file,
            watch=watch,
            web_options=options,
            shown=loaded.shown,
            writer=writer,
        )
        return uvloop.run(run_until_stopped(app.start, app.stop, app.reload))
    finally:
        writer.end()


def _load(file: str) -> config.Loaded:
    """Read the configuration, and log what is doubtful about it."""
    from bridge import log

    warn = log.logger("cli").warning
    loaded = config.load(file)
    for problem in (*loaded.missing, *loaded.doubts):
        warn("doubtful configuration", place=f"{file}:{problem.line}", path=problem.path, problem=problem.text)
    return loaded


def _sentence(error: Exception) -> str:
    from bridge.errors import BridgeError, of_file

    if isinstance(error, BridgeError) or not isinstance(error, OSError):
        return str(error)
    return f"{f'{error.filename}: ' if error.filename else ''}{of_file(error)}"
