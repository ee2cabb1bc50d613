"""Servers that the user names with DATABASE_URL and REDIS_URL instead of ours."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from kongflow_cli.errors import CliError
from kongflow_cli.local.state_folder import read_json, write_private

_CONNECT_SECONDS = 5
_POSTGRES_SCHEMES = ("postgresql", "postgres")
_REDIS_SCHEMES = ("redis", "rediss", "unix")


@dataclass(frozen=True, slots=True)
class OutsideServers:
    """The servers of the user; an empty URL means that ours is used."""

    database_url: str = field(default="", repr=False)
    redis_url: str = field(default="", repr=False)

    @classmethod
    def named_in(cls, environment: Mapping[str, str]) -> "OutsideServers":
        """Returns what the environment names; raises CliError for a URL of another kind."""
        database_url = environment.get("DATABASE_URL", "").strip()
        redis_url = environment.get("REDIS_URL", "").strip()
        _check_scheme("DATABASE_URL", database_url, _POSTGRES_SCHEMES)
        _check_scheme("REDIS_URL", redis_url, _REDIS_SCHEMES)
        return cls(database_url, redis_url)

    @property
    def names(self) -> list[str]:
        """The variables that are set."""
        given = {"DATABASE_URL": self.database_url, "REDIS_URL": self.redis_url}
        return [name for name, url in given.items() if url]

    def check_reachable(self) -> None:
        """Raises CliError when one of the servers does not let us in."""
        if self.database_url:
            _check_postgres(self.database_url)
        if self.redis_url:
            _check_redis(self.redis_url)

    def remember(self, path: Path) -> None:
        """Writes down which servers this start uses, for `reset` to know."""
        write_private(path, json.dumps({"names": self.names}))


def remembered_names(path: Path) -> list[str]:
    """Returns the variables that were set at the last start."""
    names = read_json(path).get("names")
    return [str(name) for name in names] if isinstance(names, list) else []


def _check_scheme(name: str, url: str, schemes: tuple[str, ...]) -> None:
    try:
        known = not url or urlsplit(url).scheme in schemes
    except ValueError:
        known = False
    if not known:
        raise CliError(f"{name} is not a URL that begins with {schemes[0]}://.", exit_code=2)


def _check_postgres(url: str) -> None:
    import psycopg  # noqa: PLC0415 - only for a user's own server

    try:
        psycopg.connect(url, connect_timeout=_CONNECT_SECONDS).close()
    except psycopg.Error as error:
        raise CliError(f"DATABASE_URL: {_first_line(error)}") from None


def _check_redis(url: str) -> None:
    import redis  # noqa: PLC0415 - only for a user's own server

    client = redis.Redis.from_url(url, socket_connect_timeout=_CONNECT_SECONDS)
    try:
        client.ping()
    except redis.RedisError as error:
        raise CliError(f"REDIS_URL: {_first_line(error)}") from None
    finally:
        client.close()


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
