"""What the errors of jobs mean on the wire."""

from kongflow_common.rpc.error_catalog import ErrorCatalog

CATALOG = ErrorCatalog("jobs.kongflow", {})
