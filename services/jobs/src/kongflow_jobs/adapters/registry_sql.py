"""The statements of registrations."""

# The row's lock is what puts changes of one job in an order. What an older index says of the
# title and of being there does not count.
UPSERT_JOB = """
INSERT INTO jobs.jobs AS j (id, slug, title, internal, organization_id, project_id, generation)
VALUES (%(id)b::uuid, %(slug)b::text, %(title)b::text, %(internal)b::boolean,
        %(organization_id)b::uuid, %(project_id)b::uuid, %(generation)b::bigint)
ON CONFLICT (project_id, slug) DO UPDATE SET
    title = CASE WHEN excluded.generation >= j.generation THEN excluded.title ELSE j.title END,
    deleted_at = CASE WHEN excluded.generation >= j.generation AND %(enabled)b::boolean
                      THEN NULL ELSE j.deleted_at END,
    generation = greatest(excluded.generation, j.generation)
WHERE j.deleted_at IS NULL
   OR (%(enabled)b::boolean AND excluded.generation >= j.generation)
RETURNING j.id
"""

LOCK_JOB = """
SELECT id FROM jobs.jobs
WHERE project_id = %(project_id)b::uuid AND slug = %(slug)b::text
FOR UPDATE
"""

FIND_JOB = """
SELECT id FROM jobs.jobs
WHERE project_id = %(project_id)b::uuid AND slug = %(slug)b::text
"""

LOCK_JOB_BY_ID = """
SELECT id FROM jobs.jobs
WHERE id = %(job_id)b::uuid AND project_id = %(project_id)b::uuid
FOR UPDATE
"""

FIND_QUEUE = """
SELECT id FROM jobs.job_queues
WHERE environment_id = %(environment_id)b::uuid AND name = %(name)b::text
"""

ADD_QUEUE = """
INSERT INTO jobs.job_queues (id, name, environment_id)
VALUES (%(id)b::uuid, %(name)b::text, %(environment_id)b::uuid)
ON CONFLICT (environment_id, name) DO NOTHING
"""

UPSERT_GROUP = """
INSERT INTO jobs.concurrency_limit_groups AS g
    (id, name, concurrency_limit, environment_id, generation)
VALUES (%(id)b::uuid, %(name)b::text, %(limit)b::integer, %(environment_id)b::uuid,
        %(generation)b::bigint)
ON CONFLICT (environment_id, name) DO UPDATE SET
    concurrency_limit = CASE WHEN excluded.generation >= g.generation
                             THEN excluded.concurrency_limit ELSE g.concurrency_limit END,
    generation = greatest(excluded.generation, g.generation)
RETURNING id
"""

# What an older index says of a version does not count, also where a newer one said it before the
# version was ever there. Nothing is answered then.
SAY = """
INSERT INTO jobs.version_generations AS g (environment_id, slug, version, generation)
VALUES (%(environment_id)b::uuid, %(slug)b::text, %(version)b::text, %(generation)b::bigint)
ON CONFLICT (environment_id, slug, version) DO UPDATE SET generation = excluded.generation
WHERE g.generation <= excluded.generation
RETURNING generation
"""

# xmax tells an inserted row from an updated one.
UPSERT_VERSION = f"""
WITH said AS ({SAY})
INSERT INTO jobs.job_versions AS v (
    id, version, status, trigger, event_specification, properties, trigger_link, trigger_help,
    job_id, endpoint_id, environment_id, organization_id, project_id, queue_id, start_position,
    preprocess_runs, concurrency_limit, concurrency_limit_group_id)
SELECT
    %(id)b::uuid, %(version)b::text, 'ACTIVE', %(trigger)b::jsonb, %(event_specification)b::jsonb,
    %(properties)b::jsonb, %(trigger_link)b::text, %(trigger_help)b::jsonb, %(job_id)b::uuid,
    %(endpoint_id)b::uuid, %(environment_id)b::uuid, %(organization_id)b::uuid,
    %(project_id)b::uuid, %(queue_id)b::uuid, 'LATEST', %(preprocess_runs)b::boolean,
    %(concurrency_limit)b::integer, %(concurrency_limit_group_id)b::uuid
FROM said
ON CONFLICT (job_id, version, environment_id) DO UPDATE SET
    status = 'ACTIVE', trigger = excluded.trigger,
    event_specification = excluded.event_specification, properties = excluded.properties,
    trigger_link = excluded.trigger_link, trigger_help = excluded.trigger_help,
    endpoint_id = excluded.endpoint_id, queue_id = excluded.queue_id, start_position = 'LATEST',
    preprocess_runs = excluded.preprocess_runs, concurrency_limit = excluded.concurrency_limit,
    concurrency_limit_group_id = excluded.concurrency_limit_group_id
RETURNING v.id, v.xmax = 0
"""  # nosec B608 - made of constants

FIND_VERSION = """
SELECT id FROM jobs.job_versions
WHERE job_id = %(job_id)b::uuid AND version = %(version)b::text
  AND environment_id = %(environment_id)b::uuid
"""

WRITE_EXAMPLES = """
WITH gone AS (
    DELETE FROM jobs.event_examples
    WHERE job_version_id = %(version_id)b::uuid AND slug <> ALL(%(slugs)b))
INSERT INTO jobs.event_examples AS x (id, slug, name, icon, payload, job_version_id)
SELECT e.id, e.slug, e.name, e.icon, e.payload, %(version_id)b::uuid
FROM unnest(%(e_id)b, %(e_slug)b, %(e_name)b, %(e_icon)b, %(e_payload)b)
     AS e(id, slug, name, icon, payload)
ON CONFLICT (slug, job_version_id) DO UPDATE SET
    name = excluded.name, icon = excluded.icon, payload = excluded.payload
"""

# An integration that is known keeps what it is: other jobs use it too.
ADD_INTEGRATIONS = """
INSERT INTO jobs.integrations (id, slug, title, organization_id, auth_source, setup_status)
SELECT DISTINCT ON (i.slug) i.id, i.slug, i.title, %(organization_id)b::uuid, i.auth_source,
       i.setup_status
FROM unnest(%(i_id)b, %(i_key)b, %(i_slug)b, %(i_title)b, %(i_auth_source)b, %(i_setup_status)b)
     AS i(id, key, slug, title, auth_source, setup_status)
ORDER BY i.slug
ON CONFLICT (organization_id, slug) DO NOTHING
"""

WRITE_JOB_INTEGRATIONS = """
WITH gone AS (
    DELETE FROM jobs.job_integrations
    WHERE version_id = %(version_id)b::uuid AND key <> ALL(%(keys)b))
INSERT INTO jobs.job_integrations (key, version_id, job_id, integration_id)
SELECT i.key, %(version_id)b::uuid, %(job_id)b::uuid, known.id
FROM unnest(%(i_id)b, %(i_key)b, %(i_slug)b, %(i_title)b, %(i_auth_source)b, %(i_setup_status)b)
     AS i(id, key, slug, title, auth_source, setup_status)
JOIN jobs.integrations known
  ON known.organization_id = %(organization_id)b::uuid AND known.slug = i.slug
ON CONFLICT (version_id, key) DO UPDATE SET integration_id = excluded.integration_id
"""

LIST_VERSIONS = """
SELECT id, version FROM jobs.job_versions
WHERE job_id = %(job_id)b::uuid AND environment_id = %(environment_id)b::uuid
"""

# A pinned alias stays where it was put.
SET_LATEST = """
INSERT INTO jobs.job_aliases AS a (id, name, value, version_id, job_id, environment_id)
VALUES (%(id)b::uuid, %(name)b::text, %(value)b::text, %(version_id)b::uuid, %(job_id)b::uuid,
        %(environment_id)b::uuid)
ON CONFLICT (job_id, environment_id, name) DO UPDATE SET
    value = CASE WHEN a.pinned THEN a.value ELSE excluded.value END,
    version_id = CASE WHEN a.pinned THEN a.version_id ELSE excluded.version_id END
RETURNING version_id
"""

NEXT_DISPATCHER = """
INSERT INTO jobs.job_dispatchers AS d (job_id, environment_id, generation)
VALUES (%(job_id)b::uuid, %(environment_id)b::uuid, 1)
ON CONFLICT (job_id, environment_id) DO UPDATE SET generation = d.generation + 1
RETURNING generation
"""

NEXT_DISPATCHER_IF_ANY = """
UPDATE jobs.job_dispatchers SET generation = generation + 1
WHERE job_id = %(job_id)b::uuid AND environment_id = %(environment_id)b::uuid
RETURNING generation
"""

# The row as it was: RETURNING tells only what it has become. A version that is disabled already
# is answered too: the one who disabled it may not have come to tell the dispatcher.
DISABLE_VERSION = """
WITH before AS (
    SELECT id, status FROM jobs.job_versions
    WHERE job_id = %(job_id)b::uuid AND environment_id = %(environment_id)b::uuid
      AND version = %(version)b::text)
UPDATE jobs.job_versions v SET status = 'DISABLED'
FROM before WHERE v.id = before.id
RETURNING v.id, before.status = 'ACTIVE', v.trigger, v.event_specification,
    (SELECT a.version_id FROM jobs.job_aliases a
     WHERE a.job_id = v.job_id AND a.environment_id = v.environment_id AND a.name = 'latest')
"""

FIND_ACTIVE_LATEST = """
SELECT 1 FROM jobs.job_aliases a JOIN jobs.job_versions v ON v.id = a.version_id
WHERE a.job_id = %(job_id)b::uuid AND a.name = 'latest' AND v.status = 'ACTIVE'
LIMIT 1
"""

DELETE_JOB = """
UPDATE jobs.jobs SET deleted_at = now()
WHERE id = %(job_id)b::uuid AND deleted_at IS NULL
RETURNING slug
"""
