"""What `python -m kongflow_<context>` understands, the same in every context."""

import argparse
import logging
import pkgutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import ValidationError
from pydantic_settings import SettingsError

from kongflow_common.logging import configure_logging
from kongflow_common.settings import ServiceSettings

__all__ = ["ServiceCommands", "migrations_folder"]

EXIT_USAGE = 2

_SettingsT = TypeVar("_SettingsT", bound=ServiceSettings)

_logger = logging.getLogger(__name__)


def migrations_folder(package_file: str) -> Path:
    """The migrations of a context: inside its installed package, or beside `src` in a checkout."""
    package = Path(package_file).resolve().parent
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parents[1] / "migrations"


@dataclass(frozen=True)
class ServiceCommands(Generic[_SettingsT]):
    """The commands of one context.

    `loops` and `others` name functions as entry points do, `module:function`: they are imported
    when they are run, so that a migration does not wait for gRPC. A loop takes the settings and
    an event, and runs until the event is set; another one takes nothing and answers an exit
    code. `migrate` is there in every context.
    """

    service: str
    settings: Callable[[], _SettingsT]
    schema: str
    migrations: Path
    loops: Mapping[str, str]
    others: Mapping[str, str] = field(default_factory=dict)

    def run(self, argv: Sequence[str]) -> int:
        """Carries out what the arguments say; answers the exit code."""
        options = self._parser().parse_args(argv)
        try:
            if options.command in self.others:
                return int(pkgutil.resolve_name(self.others[options.command])())
            settings = self.settings()
        except (ValidationError, SettingsError) as error:
            # The settings hide their values: names and reasons may be shown.
            sys.stderr.write(f"{self.service}: the settings are not usable: {error}\n")
            return EXIT_USAGE
        configure_logging(self.service, settings.instance, settings.log_level, settings.log_format)
        if options.command == "migrate":
            return self._migrate(settings, options.to)
        from kongflow_common.rpc.process import run  # noqa: PLC0415

        loop = pkgutil.resolve_name(self.loops[options.command])
        return run(lambda stop: loop(settings, stop))

    def _parser(self) -> argparse.ArgumentParser:
        parser = argparse.ArgumentParser(prog=f"python -m kongflow_{self.service}")
        commands = parser.add_subparsers(dest="command", required=True)
        for name in (*self.loops, *self.others):
            commands.add_parser(name)
        migrate = commands.add_parser("migrate", help="bring the schema to a revision")
        migrate.add_argument("--to", default="head", help="a revision, `head` or `base`")
        return parser

    def _migrate(self, settings: _SettingsT, revision: str) -> int:
        from kongflow_common.db import migrate  # noqa: PLC0415

        logging.getLogger("alembic").setLevel(logging.WARNING)
        url = settings.database_url.get_secret_value()
        try:
            if revision == "base" or self._is_older(url, revision):
                migrate.downgrade(url, self.migrations, self.schema, revision)
            else:
                migrate.upgrade(url, self.migrations, self.schema, revision)
        except Exception:  # the log is where a migration says what stopped it
            _logger.exception("the migration failed")
            return 1
        return 0

    def _is_older(self, url: str, revision: str) -> bool:
        from kongflow_common.db import migrate  # noqa: PLC0415

        # Revisions are numbered: 0001, 0002 and so on.
        present = migrate.current(url, self.schema)
        return revision != "head" and present is not None and revision < present
