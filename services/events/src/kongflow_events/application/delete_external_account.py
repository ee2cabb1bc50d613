"""Deletes an account of a sender's."""

import logging

from kongflow_events.application.ports import UnitOfWorkFactory
from kongflow_events.domain.errors import AccountNotFound
from kongflow_events.domain.event_record import Tenancy

__all__ = ["DeleteExternalAccount"]

_logger = logging.getLogger(__name__)


class DeleteExternalAccount:
    """Frees the account's name; what belongs to it is purged later, here and elsewhere.

    Raises AccountNotFound, and Contended while the accounts are in use.
    """

    def __init__(self, unit_of_work: UnitOfWorkFactory) -> None:
        self._unit_of_work = unit_of_work

    async def __call__(self, tenancy: Tenancy, account_id: str) -> None:
        async with self._unit_of_work() as uow:
            deleted = await uow.accounts.delete(tenancy, account_id)
            if deleted is None:
                raise AccountNotFound(account_id)
            await uow.commit()
        # Not its name, which may be a person's.
        fields = {"account": str(deleted), "environment_id": str(tenancy.environment_id)}
        _logger.info("account deleted", extra={"fields": fields})
