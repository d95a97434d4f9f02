-- The streams of one run: what each said of itself, what is stored of it, and what commands it took and when.
SELECT
    agent_id,
    attempt,
    s.started_at AS started_at,
    if(s.finished, s.ended_at, NULL) AS finished_at,
    if(s.finished, s.outcome, 'running') AS outcome,
    error,
    produced,
    s.dropped AS dropped,
    episodes,
    t.stored AS stored,
    host,
    version,
    config,
    summary,
    arrayMap(
        entry -> concat(
            JSONExtractString(entry, 'command'),
            if(JSONExtractString(entry, 'key') = '', '', concat(' ', JSONExtractString(entry, 'key'), '=', JSONExtractString(entry, 'value'))),
            if(JSONExtractString(entry, 'answer') = '', ' taken ', concat(' ', JSONExtractString(entry, 'answer'), ' ')),
            toString(fromUnixTimestamp64Micro(
                if(JSONHas(entry, 'answered_at'), JSONExtractInt(entry, 'answered_at'), JSONExtractInt(entry, 'taken_at')), 'UTC'
            ))
        ),
        JSONExtractArrayRaw(s.commands)
    ) AS commands
FROM stream_summary AS s
LEFT JOIN
(
    SELECT agent_id, attempt, count() AS stored
    FROM steps
    WHERE run_id = {run_id:String}
    GROUP BY agent_id, attempt
) AS t USING (agent_id, attempt)
WHERE run_id = {run_id:String}
ORDER BY agent_id, attempt
