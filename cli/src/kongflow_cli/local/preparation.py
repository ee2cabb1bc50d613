"""Remembers that the database is migrated and bootstrapped, so that a warm start skips both.

Asking every service whether there is something to do costs several seconds of CPU. What they
would find is known as long as neither their migrations, the bootstrap and what it is given, nor
the database changed; the database itself is asked for the revisions that it is at.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kongflow_cli.local.state_folder import read_json, write_private

_CONNECT_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Preparation:
    """What has to be done to a database of ours before services can use it."""

    mark: Path
    """Where it is written down that it is done; private, it holds the first keys."""
    database_url: str = field(repr=False)
    schemas: Sequence[str]
    sources: Sequence[Path]
    """Folders with the code of the migrations and of the bootstrap."""
    given: Mapping[str, str] = field(repr=False)
    """What the bootstrap is told."""

    def earlier_answer(self) -> bytes | None:
        """Returns what the bootstrap printed when it ran; None if something is to be done."""
        content = read_json(self.mark)
        answer, revisions = content.get("answer"), content.get("revisions")
        if content.get("fingerprint") != self._fingerprint() or not isinstance(answer, str):
            return None
        return answer.encode() if self._revisions() == revisions else None

    def remember(self, answer: bytes) -> None:
        """Writes down that everything is done; `answer` is what the bootstrap printed."""
        content = {
            "fingerprint": self._fingerprint(),
            "revisions": self._revisions(),
            "answer": answer.decode(),
        }
        write_private(self.mark, json.dumps(content))

    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        for name, value in sorted(self.given.items()):
            digest.update(f"{name}={value}\0".encode())
        for folder in self.sources:
            for path in sorted(folder.rglob("*.py")):
                digest.update(f"{path.relative_to(folder)}\0".encode())
                digest.update(path.read_bytes())
        return digest.hexdigest()

    def _revisions(self) -> dict[str, str] | None:
        """Returns the revision of each schema; None if one of them has none, or on any doubt."""
        import psycopg  # noqa: PLC0415 - imported in a thread while the stores start
        from psycopg import sql  # noqa: PLC0415

        found = {}
        try:
            with psycopg.connect(
                self.database_url, connect_timeout=_CONNECT_SECONDS, autocommit=True
            ) as connection:
                for schema in self.schemas:
                    table = sql.Identifier(schema, "alembic_version")
                    known = connection.execute(
                        "SELECT to_regclass(%s)", [f"{schema}.alembic_version"]
                    ).fetchone()
                    if known is None or known[0] is None:
                        return None
                    row = connection.execute(
                        sql.SQL("SELECT version_num FROM {}").format(table)
                    ).fetchone()
                    if row is None:
                        return None
                    found[schema] = str(row[0])
        except psycopg.Error:
            # The migrations will say what is wrong.
            return None
        return found
