"""The order in which the ledger takes available jobs, for statements and indexes.

Within an environment by effective time and id, whatever the priority: that is what ages. Between
the environments of a queue by turns, so that one which floods it holds up the others for no
longer than what stands in the window already.
"""

from kongflow_workerqueue.domain.ageing import AGEING


def effective_time(job: str = "") -> str:
    """Write a job's effective time: domain.ageing, as an expression that an index may have.

    `job` is the alias of its row, with a dot.
    """
    age = f"interval '{AGEING.total_seconds():.0f} seconds'"
    return f"(({job}run_at AT TIME ZONE 'UTC') + ({job}priority - 1) * {age})"


NO_ENVIRONMENT = "'00000000-0000-0000-0000-000000000000'::uuid"


def environment(job: str = "") -> str:
    """Write a job's environment; jobs above environments share one that does not exist."""
    return f"coalesce({job}environment_id, {NO_ENVIRONMENT})"


_WAITING = """w.queue = %(queue)b::text AND w.state = 'available' AND w.admitted_at IS NULL
      AND w.limit_lane IS NULL"""

MOST_ENVIRONMENTS = 1_000
"""How many environments have a turn in one look; where it begins is left to chance."""


def _environments(name: str, first: str, further: str = "") -> str:
    """Walk along the index from one environment with waiting jobs to the next."""
    key = environment("w.")
    return f"""{name} AS (
    (SELECT {key} AS environment, 1 AS place FROM workerqueue.queued_jobs w
     WHERE {_WAITING} AND {key} {first}
     ORDER BY {key} LIMIT 1)
    UNION ALL
    SELECT following.environment, {name}.place + 1
    FROM {name} CROSS JOIN LATERAL (
        SELECT {key} AS environment FROM workerqueue.queued_jobs w
        WHERE {_WAITING} AND {key} > {name}.environment {further}
        ORDER BY {key} LIMIT 1) AS following
    WHERE {name}.place < {MOST_ENVIRONMENTS})"""


def first_waiting(limit: str) -> str:
    """Write the CTEs that end in `first`: the ids of the next `limit` jobs, locked, with places.

    Every environment that has waiting jobs is asked for twice its share, so that what some do not
    need the others have; a single one for all. What another transaction has locked is passed by.
    """
    begin = "(SELECT at FROM beginning)"
    return f"""
beginning AS MATERIALIZED (SELECT gen_random_uuid() AS at),
{_environments("later", f">= {begin}")},
{_environments("earlier", f"< {begin}", f"AND {environment('w.')} < {begin}")},
environments AS MATERIALIZED (
    SELECT environment FROM later
    UNION ALL
    SELECT environment FROM earlier
    LIMIT {MOST_ENVIRONMENTS}),
shares AS MATERIALIZED (
    SELECT CASE count(*) WHEN 1 THEN {limit} ELSE 2 * {limit} / count(*) + 1 END AS share
    FROM environments),
candidates AS MATERIALIZED (
    SELECT waiting.id, waiting.effective_at, environments.environment
    FROM environments CROSS JOIN LATERAL (
        SELECT w.id, {effective_time("w.")} AS effective_at FROM workerqueue.queued_jobs w
        WHERE {_WAITING} AND {environment("w.")} = environments.environment
        ORDER BY {effective_time("w.")}, w.id
        LIMIT (SELECT share FROM shares)
        FOR UPDATE SKIP LOCKED) AS waiting),
first AS (
    SELECT id, row_number() OVER (ORDER BY round, effective_at, id) AS place
    FROM (SELECT id, effective_at,
                 row_number() OVER (PARTITION BY environment ORDER BY effective_at, id) AS round
          FROM candidates) AS rounds
    ORDER BY place LIMIT {limit})"""
