"""Puts the endpoints service together: the only file that constructs."""

import asyncio

from kongflow_common.auth.authenticator import Authenticator
from kongflow_common.auth.service_tokens import (
    ServiceTokenSigner,
    ServiceTokenVerifier,
    parse_private_key,
    parse_public_key,
)
from kongflow_common.db.engine import Database
from kongflow_common.rpc.channel import ServiceCaller, service_channel
from kongflow_common.rpc.server import GrpcServer
from kongflow_common.rpc.tenancy_credentials import TenancyCredentialResolver
from kongflow_endpoints.rpc.error_catalog import CATALOG
from kongflow_endpoints.settings import EndpointsSettings

SERVICE = "endpoints"


async def serve(settings: EndpointsSettings, stop: asyncio.Event) -> None:
    """Serves until ``stop`` is set, then drains."""
    signer = ServiceTokenSigner(SERVICE, parse_private_key(settings.service_key.get_secret_value()))
    async with (
        Database.connect(
            settings.database_url.get_secret_value(),
            pool_size=settings.database_pool_size,
            application_name=settings.instance,
        ) as database,
        service_channel(settings.tenancy_target, settings) as tenancy,
    ):
        resolver = TenancyCredentialResolver(ServiceCaller(tenancy, "tenancy", signer))
        public_keys = {
            service: parse_public_key(key) for service, key in settings.service_public_keys.items()
        }
        server = GrpcServer(
            settings,
            authenticator=Authenticator(resolver, ServiceTokenVerifier(SERVICE, public_keys)),
            catalog=CATALOG,
            client_services=[],
            tasks_services=[],
            probe=database.ping,
        )
        try:
            await server.serve(stop)
        finally:
            await resolver.close()
