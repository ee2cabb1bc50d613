"""Puts tenancy together: the only file that constructs."""

import asyncio
import json
import secrets
import sys
from uuid import UUID

from kongflow.tenancy.internal.v1 import principal_service_pb2
from kongflow.tenancy.v1 import tenancy_service_pb2
from kongflow_common.auth.authenticator import Authenticator
from kongflow_common.auth.credentials import CachedCredentialResolver
from kongflow_common.auth.service_tokens import ServiceTokenVerifier, parse_public_key
from kongflow_common.clock import SystemClock
from kongflow_common.db.engine import Database
from kongflow_common.logging import configure_logging
from kongflow_common.rpc.server import GrpcServer, GrpcService
from kongflow_tenancy.adapters.key_vault import FernetKeyVault
from kongflow_tenancy.adapters.own_credentials import OwnCredentialLookup
from kongflow_tenancy.adapters.unit_of_work import PostgresUnitOfWork
from kongflow_tenancy.application.bootstrap import Bootstrap, FirstCredentials
from kongflow_tenancy.application.create_environment import CreateEnvironment
from kongflow_tenancy.application.create_environment_key import CreateEnvironmentKey
from kongflow_tenancy.application.create_organization import CreateOrganization
from kongflow_tenancy.application.create_project import CreateProject
from kongflow_tenancy.application.key_maker import KeyMaker
from kongflow_tenancy.application.look_up_principal import LookUpCredential, LookUpEnvironment
from kongflow_tenancy.application.ports import NewUnitOfWork
from kongflow_tenancy.application.queries import TenancyQueries
from kongflow_tenancy.application.revoke_environment_key import RevokeEnvironmentKey
from kongflow_tenancy.application.rotate_environment_key import RotateEnvironmentKey
from kongflow_tenancy.application.update_organization import UpdateOrganization
from kongflow_tenancy.domain.credentials import new_shortcode
from kongflow_tenancy.rpc.error_catalog import CATALOG
from kongflow_tenancy.rpc.principal_servicer import PrincipalServicer
from kongflow_tenancy.rpc.tenancy_servicer import TenancyServicer, TenancyUseCases
from kongflow_tenancy.settings import BootstrapSettings, TenancySettings

SERVICE = "tenancy"


async def serve(settings: TenancySettings, stop: asyncio.Event) -> None:
    """Serves until ``stop`` is set, then drains."""
    async with Database.connect(
        settings.database_url.get_secret_value(),
        pool_size=settings.database_pool_size,
        application_name=settings.instance,
    ) as database:

        def unit_of_work() -> PostgresUnitOfWork:
            return PostgresUnitOfWork(database)

        look_up_credential = LookUpCredential(unit_of_work, SystemClock())
        look_up_environment = LookUpEnvironment(unit_of_work)
        resolver = CachedCredentialResolver(
            OwnCredentialLookup(look_up_credential, look_up_environment)
        )
        public_keys = {
            service: parse_public_key(key) for service, key in settings.service_public_keys.items()
        }
        server = GrpcServer(
            settings,
            authenticator=Authenticator(resolver, ServiceTokenVerifier(SERVICE, public_keys)),
            catalog=CATALOG,
            client_services=[
                GrpcService(
                    tenancy_service_pb2.DESCRIPTOR.services_by_name["TenancyService"],
                    TenancyServicer(use_cases(unit_of_work, key_vault(settings))),
                )
            ],
            tasks_services=[
                GrpcService(
                    principal_service_pb2.DESCRIPTOR.services_by_name["PrincipalService"],
                    PrincipalServicer(look_up_credential, look_up_environment),
                )
            ],
            probe=database.ping,
        )
        try:
            await server.serve(stop)
        finally:
            await resolver.close()


async def bootstrap(settings: BootstrapSettings) -> UUID:
    """Makes the first tenant and operator; answers the environment's id."""
    credentials = FirstCredentials(
        api_key=settings.bootstrap_api_key.get_secret_value(),
        public_key=settings.bootstrap_public_key.get_secret_value(),
        operator_token=settings.bootstrap_operator_token.get_secret_value(),
    )
    async with Database.connect(
        settings.database_url.get_secret_value(),
        pool_size=1,
        application_name=settings.instance,
    ) as database:
        use_case = Bootstrap(
            lambda: PostgresUnitOfWork(database),
            KeyMaker(key_vault(settings), secrets.choice),
            SystemClock(),
            random_shortcode,
        )
        return await use_case(credentials)


def run_bootstrap() -> int:
    """Makes the first tenant and prints its credentials as JSON, for the program that starts us."""
    settings = BootstrapSettings()
    configure_logging(SERVICE, settings.instance, settings.log_level, settings.log_format)
    environment_id = asyncio.run(bootstrap(settings))
    credentials = {
        "api_key": settings.bootstrap_api_key.get_secret_value(),
        "public_key": settings.bootstrap_public_key.get_secret_value(),
        "operator_token": settings.bootstrap_operator_token.get_secret_value(),
        "environment_id": str(environment_id),
    }
    sys.stdout.write(json.dumps(credentials) + "\n")
    return 0


def use_cases(unit_of_work: NewUnitOfWork, vault: FernetKeyVault) -> TenancyUseCases:
    """What the servicer calls, over one way to make transactions."""
    maker = KeyMaker(vault, secrets.choice)
    clock = SystemClock()
    return TenancyUseCases(
        create_organization=CreateOrganization(unit_of_work),
        update_organization=UpdateOrganization(unit_of_work),
        create_project=CreateProject(unit_of_work),
        create_environment=CreateEnvironment(unit_of_work),
        create_key=CreateEnvironmentKey(unit_of_work, maker, vault),
        rotate_key=RotateEnvironmentKey(unit_of_work, maker, vault, clock),
        revoke_key=RevokeEnvironmentKey(unit_of_work, clock),
        queries=TenancyQueries(unit_of_work),
        new_shortcode=random_shortcode,
    )


def key_vault(settings: TenancySettings) -> FernetKeyVault:
    """The vault under the keys of the settings."""
    return FernetKeyVault(
        {key_id: key.get_secret_value() for key_id, key in settings.secret_keys.items()}
    )


def random_shortcode() -> str:
    """A shortcode that nobody can guess."""
    return new_shortcode(secrets.choice)
