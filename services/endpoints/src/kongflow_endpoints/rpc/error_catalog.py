"""What the errors of endpoints mean on the wire."""

from kongflow_common.rpc.error_catalog import ErrorCatalog

CATALOG = ErrorCatalog("endpoints.kongflow", {})
