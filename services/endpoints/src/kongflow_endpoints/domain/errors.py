"""What can be wrong with a request about endpoints, as facts.

KongflowError
├── NotFound
│   ├── EndpointNotFound
│   └── EndpointIndexNotFound
└── PreconditionFailed
    ├── EndpointPingFailed
    └── EndpointHasNoUrl
"""

from kongflow_common.errors import NotFound, PreconditionFailed


class EndpointNotFound(NotFound):
    """There is no such endpoint in this environment."""

    def __init__(self, key: object) -> None:
        super().__init__(f"there is no endpoint {key} in this environment", endpoint=key)


class EndpointIndexNotFound(NotFound):
    """There is no such index in this environment."""

    def __init__(self, index_id: object) -> None:
        super().__init__(f"there is no index {index_id} in this environment", index=index_id)


class EndpointPingFailed(PreconditionFailed):
    """The endpoint did not answer as it should."""


class EndpointHasNoUrl(PreconditionFailed):
    """Endpoint URL is not set."""
