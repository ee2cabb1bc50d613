"""What deleting an account needs of the outside."""

from typing import Protocol
from uuid import UUID

from kongflow_events.domain.event_record import Tenancy

__all__ = ["AccountRepository"]


class AccountRepository(Protocol):
    """Accounts of senders, inside a unit of work."""

    async def delete(self, tenancy: Tenancy, account_id: str) -> UUID | None:
        """Free the account's name, and tell of its deletion with the commit.

        Answers the account's record, which stays until what belongs to it is purged; None where
        there is no such account. Events that are stored after the commit are of another account.
        Raises Contended while accounts are in use.
        """
        ...
