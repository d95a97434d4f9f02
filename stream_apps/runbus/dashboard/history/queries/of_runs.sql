    SELECT
        c.run_id::String AS run,
        -- by the rule of run_summary: running while a stream that no newer one of its agent replaced has not ended
        multiIf(
            countIf(c.current AND NOT c.finished) > 0, 'running',
            countIf(c.current AND c.newest.1 = 'failed') > 0, 'failed',
            countIf(c.current AND c.newest.1 = 'interrupted') > 0, 'interrupted',
            'completed'
        ) AS state,
        -- a source of metrics alone is no agent, and says what the run is only where there is none
        uniqExactIf(c.agent_id, c.newest.8 = '') AS agents,
        countIf(c.newest.8 = '') AS attempts,
        min(c.started_at) AS started_at,
        if(state = 'running', 0, maxIf(c.ended_at, c.current)) AS finished_at,
        sum(c.newest.2) AS steps,
        sum(c.newest.3) AS dropped,
        sum(c.newest.4) AS episodes,
        argMax(c.newest.5, (c.newest.8 = '', c.attempt)) AS config,
        argMax(c.newest.6, (c.newest.8 = '', c.attempt))::Map(String, String) AS labels,
        arrayDistinct(arrayConcat(
            argMax(c.newest.7, (c.newest.8 = '', c.attempt))::Array(String), any(put.tags)
        )) AS tags,
        any(put.pinned) AS pinned
    FROM
    (
        SELECT
            s.*,
            s.attempt = s.newest_attempt
            OR s.announced_at > s.newest_attempt
            OR n.newest_at > s.newest_attempt AS current
        FROM
        (
            SELECT *, max(t.attempt) OVER (PARTITION BY run_id, agent_id) AS newest_attempt
            FROM
            (
                SELECT
                    run_id,
                    agent_id,
                    attempt,
                    toUnixTimestamp64Micro(min(r.started_at)) AS started_at,
                    toUnixTimestamp64Micro(maxIf(sent_at, kind = 'STARTED')) AS announced_at,
                    toUnixTimestamp64Micro(maxIf(sent_at, kind = 'FINISHED')) AS ended_at,
                    countIf(kind = 'FINISHED') > 0 AS finished,
                    argMax(
                        (outcome, produced, dropped, episodes, config, labels, tags, role), (kind = 'FINISHED', sent_at)
                    ) AS newest
                FROM runs AS r
                WHERE $which AND $below
                GROUP BY run_id, agent_id, attempt
            ) AS t
        ) AS s
        LEFT JOIN
        (
            SELECT run_id, agent_id, attempt, toUnixTimestamp64Micro(max(ts)) AS newest_at
            FROM steps
            WHERE (run_id, agent_id, attempt) IN
            (
                SELECT run_id, agent_id, arrayJoin(arrayPopBack(arraySort(groupUniqArray(r.attempt))))
                FROM runs AS r
                WHERE $which
                GROUP BY run_id, agent_id
            )
            GROUP BY run_id, agent_id, attempt
        ) AS n USING (run_id, agent_id, attempt)
    ) AS c
    LEFT JOIN
    (
        SELECT
            run_id,
            arrayMap(tag -> tag.2, arraySort(groupArrayIf((sent_at, name), kind = 'tag'))) AS tags,
            countIf(kind = 'pin') > 0 AS pinned
        FROM annotations_latest
        WHERE agent_id = '' AND attempt = 0 AND episode < 0
        GROUP BY run_id
    ) AS put USING (run_id)
    GROUP BY c.run_id
