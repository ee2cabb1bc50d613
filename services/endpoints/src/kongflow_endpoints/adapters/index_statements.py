"""The statements that perform indexes, and how rows are bound to them."""

from kongflow_common.db.row_parameters import RowParameters
from kongflow_common.eventing.published_rows import PublishedRows
from kongflow_common.outbox.columns import OutboxRows
from kongflow_endpoints.adapters.tables import SCHEMA
from kongflow_endpoints.domain.endpoint import PROBED_AGAIN_AFTER

ENDPOINT = """e.id, e.slug, e.url, e.environment_id, e.project_id, e.organization_id,
    e.indexing_hook_identifier, e.version, e.sdk_version, e.run_chunk_execution_limit,
    e.start_task_threshold, e.before_execute_task_threshold, e.before_complete_task_threshold,
    e.after_complete_task_threshold, e.created_at, e.updated_at, e.environment_type,
    e.run_chunk_execution_limit_origin"""

BEGIN = f"""
UPDATE endpoints.endpoint_indexes i SET status = 'STARTED'
FROM endpoints.endpoints e
WHERE i.id = %(id)b::uuid AND i.environment_id = %(environment_id)b::uuid
  AND i.status IN ('PENDING', 'STARTED') AND e.id = i.endpoint_id
RETURNING i.id, i.sequence, i.fetched_at IS NOT NULL, {ENDPOINT}
"""  # nosec B608 - made of constants

FAIL = """
UPDATE endpoints.endpoint_indexes SET status = 'FAILURE', error = %(error)b::jsonb
WHERE id = %(id)b::uuid AND environment_id = %(environment_id)b::uuid
  AND status IN ('PENDING', 'STARTED') AND fetched_at IS NULL
RETURNING id
"""

MAY_FAIL = """
SELECT endpoint_id FROM endpoints.endpoint_indexes
WHERE id = %(id)b::uuid AND environment_id = %(environment_id)b::uuid
  AND status IN ('PENDING', 'STARTED') AND fetched_at IS NULL
"""

NEWS_OF_FAILURE = OutboxRows(SCHEMA, join="JOIN failed ON failed.id = o.owner")

LOG_FAILURE = PublishedRows(SCHEMA, join="JOIN failed ON failed.id = v.owner")

FAIL_AND_TELL = f"""
WITH failed AS ({FAIL}), logged AS ({LOG_FAILURE.insert}), told AS ({NEWS_OF_FAILURE.insert})
SELECT id FROM failed
"""  # nosec B608

MARK_FETCHED = """
UPDATE endpoints.endpoint_indexes SET fetched_at = now()
WHERE id = %(id)b::uuid AND status = 'STARTED' AND fetched_at IS NULL
RETURNING id
"""

# An endpoint that was given another URL meanwhile keeps it.
SAVE_ENDPOINT = """
UPDATE endpoints.endpoints SET
    url = CASE WHEN url = %(url)b::text THEN coalesce(%(moved_to)b::text, url) ELSE url END,
    version = coalesce(%(version)b::text, version),
    sdk_version = coalesce(%(sdk_version)b::text, sdk_version)
WHERE id = %(endpoint_id)b::uuid
"""

# Whoever writes the time asks for the probe. A limit that was measured, or said, is kept.
WANT_PROBE = f"""
UPDATE endpoints.endpoints SET probe_requested_at = now()
WHERE id = %(id)b::uuid AND url IS NOT NULL AND environment_type <> 'DEVELOPMENT'
  AND run_chunk_execution_limit_origin = 'DEFAULT'
  AND (probe_requested_at IS NULL
       OR probe_requested_at < now() - interval '{PROBED_AGAIN_AFTER.total_seconds():.0f} seconds')
RETURNING id
"""  # nosec B608

ITEMS = RowParameters(
    "n",
    id="uuid",
    kind="text",
    key="text",
    version="text",
    wish="text",
    internal="boolean",
    outcome="text",
    metadata="jsonb",
)

ADD_ITEMS = f"""
INSERT INTO endpoints.endpoint_index_items
    (id, index_id, kind, key, version, wish, internal, outcome, metadata)
SELECT n.id, %(index_id)b::uuid, n.kind, n.key, n.version, n.wish, n.internal, n.outcome,
       n.metadata
FROM {ITEMS.source}
"""  # nosec B608

MESSAGES = OutboxRows(SCHEMA)
PUBLISHED = PublishedRows(SCHEMA)

DUE_ITEMS = """
SELECT i.id, i.index_id, x.endpoint_id, e.environment_id, e.project_id, e.organization_id,
       x.sequence, i.wish, i.key, coalesce(i.version, ''),
       convert_to(i.metadata::text, 'UTF8')
FROM endpoints.endpoint_index_items i
JOIN endpoints.endpoint_indexes x ON x.id = i.index_id
JOIN endpoints.endpoints e ON e.id = x.endpoint_id
WHERE i.id = ANY(%(ids)b) AND x.environment_id = %(environment_id)b::uuid
  AND i.outcome = 'PENDING'
"""

# Whoever settles an item holds its index until the commit: of two last items one sees the other.
LOCK_INDEXES = """
SELECT id FROM endpoints.endpoint_indexes
WHERE id = ANY(%(ids)b) AND environment_id = %(environment_id)b::uuid
ORDER BY id FOR UPDATE
"""

UNSETTLED_JOBS = """
SELECT i.key, i.version, i.internal
FROM endpoints.endpoint_indexes x
JOIN endpoints.endpoint_index_items i ON i.index_id = x.id
WHERE x.endpoint_id = %(endpoint_id)b::uuid AND x.sequence < %(sequence)b::bigint
  AND x.status = 'STARTED' AND i.kind = 'JOB' AND i.wish = 'REGISTER' AND i.outcome = 'PENDING'
ORDER BY x.sequence, i.key
"""

SETTLED = RowParameters(
    "s", id="uuid", index_id="uuid", outcome="text", changed="boolean", error="text",
    warnings="jsonb",
)  # fmt: skip

SETTLE = f"""
UPDATE endpoints.endpoint_index_items i SET
    outcome = s.outcome, changed = s.changed, error = s.error, warnings = s.warnings
FROM {SETTLED.source}
WHERE i.id = s.id AND i.index_id = s.index_id AND i.outcome = 'PENDING'
  AND s.index_id = ANY(%(index_ids)b)
"""  # nosec B608

COUNT = """
SELECT x.id, i.kind, i.outcome, i.internal, i.changed, count(i.id)
FROM endpoints.endpoint_indexes x
LEFT JOIN endpoints.endpoint_index_items i ON i.index_id = x.id
WHERE x.id = ANY(%(ids)b) AND x.status = 'STARTED' AND x.fetched_at IS NOT NULL
  AND NOT EXISTS (SELECT FROM endpoints.endpoint_index_items p
                  WHERE p.index_id = x.id AND p.outcome = 'PENDING')
GROUP BY x.id, i.kind, i.outcome, i.internal, i.changed
"""

END = """
UPDATE endpoints.endpoint_indexes SET status = 'SUCCESS', stats = %(stats)b::jsonb
WHERE id = %(id)b::uuid
RETURNING endpoint_id
"""
