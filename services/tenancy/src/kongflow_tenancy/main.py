"""Puts tenancy together: the only file that constructs."""

import asyncio
import json
import logging
import secrets
import sys

from kongflow.tenancy.internal.v1 import principal_service_pb2
from kongflow.tenancy.tasks.v1 import tenancy_tasks_service_pb2
from kongflow.tenancy.v1 import tenancy_service_pb2
from kongflow_common.auth.authenticator import Authenticator
from kongflow_common.auth.credentials import CachedCredentialResolver
from kongflow_common.auth.service_tokens import (
    ServiceTokenSigner,
    ServiceTokenVerifier,
    parse_private_key,
    parse_public_key,
)
from kongflow_common.clock import Clock, SystemClock
from kongflow_common.db.engine import Database
from kongflow_common.eventing.domain_replays import domain_replays
from kongflow_common.eventing.publisher import Always, EventPublisher
from kongflow_common.eventing.shipper import EventShipper
from kongflow_common.ids import new_id
from kongflow_common.logging import configure_logging
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_common.rpc.channel import ServiceCaller, service_channel
from kongflow_common.rpc.remote_event_log import RemoteEventLog
from kongflow_common.rpc.server import GrpcServer, GrpcService
from kongflow_common.rpc.worker_queue_enqueuer import GrpcEnqueuer
from kongflow_common.supervision import BackgroundTasks
from kongflow_tenancy.adapters.deletions import PostgresDeletionUnitOfWork
from kongflow_tenancy.adapters.environment_reader import PostgresEnvironmentReader
from kongflow_tenancy.adapters.key_vault import FernetKeyVault
from kongflow_tenancy.adapters.own_credentials import OwnCredentialLookup
from kongflow_tenancy.adapters.principals import PostgresPrincipals
from kongflow_tenancy.adapters.tables import SCHEMA
from kongflow_tenancy.adapters.unit_of_work import PostgresUnitOfWork
from kongflow_tenancy.application.bootstrap import Bootstrap, FirstCredentials, FirstTenant
from kongflow_tenancy.application.create_environment import CreateEnvironment
from kongflow_tenancy.application.create_environment_key import CreateEnvironmentKey
from kongflow_tenancy.application.create_organization import CreateOrganization
from kongflow_tenancy.application.create_project import CreateProject
from kongflow_tenancy.application.deletions import DeleteEnvironment, DeleteProject
from kongflow_tenancy.application.describe_environment import DescribeEnvironment
from kongflow_tenancy.application.key_maker import KeyMaker
from kongflow_tenancy.application.look_up_principal import LookUpCredential, LookUpEnvironment
from kongflow_tenancy.application.ports import NewUnitOfWork
from kongflow_tenancy.application.project_news import ProjectNews
from kongflow_tenancy.application.queries import TenancyQueries
from kongflow_tenancy.application.reveal_secret_key import RevealSecretKey
from kongflow_tenancy.application.revoke_environment_key import RevokeEnvironmentKey
from kongflow_tenancy.application.rotate_environment_key import RotateEnvironmentKey
from kongflow_tenancy.application.update_organization import UpdateOrganization
from kongflow_tenancy.domain.credentials import new_shortcode
from kongflow_tenancy.rpc.error_catalog import CATALOG
from kongflow_tenancy.rpc.principal_servicer import PrincipalServicer
from kongflow_tenancy.rpc.tenancy_servicer import (
    DeletionUseCases,
    TenancyServicer,
    TenancyUseCases,
)
from kongflow_tenancy.rpc.tenancy_tasks_servicer import TenancyTasksServicer
from kongflow_tenancy.settings import BootstrapSettings, TenancySettings

SERVICE = "tenancy"

_logger = logging.getLogger(__name__)


async def serve(settings: TenancySettings, stop: asyncio.Event) -> None:
    """Serves until ``stop`` is set, then drains."""
    signer = ServiceTokenSigner(SERVICE, parse_private_key(settings.service_key.get_secret_value()))
    async with (
        Database.connect(
            settings.database_url.get_secret_value(),
            pool_size=settings.database_pool_size,
            application_name=settings.instance,
        ) as database,
        service_channel(settings.workerqueue_target, settings) as channel,
        service_channel(settings.events_target, settings) as events,
        BackgroundTasks() as tasks,
        OutboxRelay(
            database,
            SCHEMA,
            GrpcEnqueuer(ServiceCaller(channel, "workerqueue", signer)),
            instance=settings.instance,
        ) as relay,
    ):
        clock = SystemClock()
        log = RemoteEventLog(ServiceCaller(events, "events", signer))
        _ = tasks.supervise("event shipper", EventShipper(database, SCHEMA, log).run)
        principals = PostgresPrincipals(database)
        resolver = CachedCredentialResolver(
            OwnCredentialLookup(LookUpCredential(principals, clock), LookUpEnvironment(principals))
        )
        public_keys = {
            service: parse_public_key(key) for service, key in settings.service_public_keys.items()
        }
        client_services, tasks_services = grpc_services(database, relay, key_vault(settings), clock)
        server = GrpcServer(
            settings,
            authenticator=Authenticator(resolver, ServiceTokenVerifier(SERVICE, public_keys)),
            catalog=CATALOG,
            client_services=client_services,
            tasks_services=tasks_services,
            probe=database.ping,
        )
        try:
            await server.serve(stop)
        finally:
            await resolver.close()


def grpc_services(
    database: Database, relay: OutboxRelay, vault: FernetKeyVault, clock: Clock
) -> tuple[list[GrpcService], list[GrpcService]]:
    """The services of the client listener, and those of the tasks listener."""
    principals = PostgresPrincipals(database)
    tenancy = TenancyServicer(
        use_cases(lambda: PostgresUnitOfWork(database), vault, clock),
        deletions(database, relay, clock),
    )
    environments = PostgresEnvironmentReader(database)
    lookups = PrincipalServicer(
        LookUpCredential(principals, clock),
        LookUpEnvironment(principals),
        DescribeEnvironment(environments),
        RevealSecretKey(environments, vault, clock),
    )
    return (
        [GrpcService(tenancy_service_pb2.DESCRIPTOR.services_by_name["TenancyService"], tenancy)],
        [
            GrpcService(
                principal_service_pb2.DESCRIPTOR.services_by_name["PrincipalService"], lookups
            ),
            GrpcService(
                tenancy_tasks_service_pb2.DESCRIPTOR.services_by_name["TenancyTasksService"],
                TenancyTasksServicer(domain_replays(database, SCHEMA, "project")),
            ),
        ],
    )


async def bootstrap(settings: BootstrapSettings) -> FirstTenant:
    """Makes the first tenant and operator."""
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
        vault = key_vault(settings)
        use_case = Bootstrap(
            lambda: PostgresUnitOfWork(database),
            KeyMaker(vault, secrets.choice),
            vault,
            SystemClock(),
            random_shortcode,
            project_news(SystemClock()),
        )
        return await use_case(credentials)


def run_bootstrap() -> int:
    """Makes the first tenant and prints its credentials as JSON, for the program that starts us."""
    settings = BootstrapSettings()
    configure_logging(SERVICE, settings.instance, settings.log_level, settings.log_format)
    try:
        tenant = asyncio.run(bootstrap(settings))
    except Exception:  # the log is where a command says what stopped it
        _logger.exception("the bootstrap failed")
        return 1
    for name in tenant.ended:
        _logger.warning("the first %s was revoked or has expired, and stays so", name)
    credentials = {
        "api_key": settings.bootstrap_api_key.get_secret_value(),
        "public_key": settings.bootstrap_public_key.get_secret_value(),
        "operator_token": settings.bootstrap_operator_token.get_secret_value(),
        "environment_id": str(tenant.environment_id),
    }
    sys.stdout.write(json.dumps(credentials) + "\n")
    return 0


def use_cases(unit_of_work: NewUnitOfWork, vault: FernetKeyVault, clock: Clock) -> TenancyUseCases:
    """What the servicer calls, over one way to make transactions."""
    maker = KeyMaker(vault, secrets.choice)
    return TenancyUseCases(
        create_organization=CreateOrganization(unit_of_work),
        update_organization=UpdateOrganization(unit_of_work),
        create_project=CreateProject(unit_of_work, project_news(clock)),
        create_environment=CreateEnvironment(unit_of_work),
        create_key=CreateEnvironmentKey(unit_of_work, maker, vault, clock),
        rotate_key=RotateEnvironmentKey(unit_of_work, maker, vault, clock),
        revoke_key=RevokeEnvironmentKey(unit_of_work, clock),
        queries=TenancyQueries(unit_of_work),
        new_shortcode=random_shortcode,
    )


def project_news(clock: Clock) -> ProjectNews:
    """What tells of projects."""
    return ProjectNews(EventPublisher(Always(), clock, new_id))


def deletions(database: Database, relay: OutboxRelay, clock: Clock) -> DeletionUseCases:
    """What deletes, and tells of it."""
    # It happens once: nobody asks whether anybody listens.
    events = EventPublisher(Always(), clock, new_id)

    def unit_of_work() -> PostgresDeletionUnitOfWork:
        return PostgresDeletionUnitOfWork(database, relay)

    return DeletionUseCases(
        DeleteEnvironment(unit_of_work, events, clock), DeleteProject(unit_of_work, events, clock)
    )


def key_vault(settings: TenancySettings) -> FernetKeyVault:
    """The vault under the keys of the settings."""
    return FernetKeyVault(
        {key_id: key.get_secret_value() for key_id, key in settings.secret_keys.items()}
    )


def random_shortcode() -> str:
    """A shortcode that nobody can guess."""
    return new_shortcode(secrets.choice)
