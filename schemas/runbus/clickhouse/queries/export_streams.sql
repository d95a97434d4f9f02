-- What each stream of a run (of one agent, or '' = all) said of itself in its newest event.
SELECT
    agent_id,
    attempt,
    argMax(r.observation_space, (kind = 'FINISHED', r.sent_at)) AS observation_space,
    argMax(r.action_space, (kind = 'FINISHED', r.sent_at)) AS action_space,
    argMax(r.config, (kind = 'FINISHED', r.sent_at)) AS config,
    argMax(r.labels, (kind = 'FINISHED', r.sent_at)) AS labels,
    argMax(r.tags, (kind = 'FINISHED', r.sent_at)) AS tags,
    argMax(r.outcome, (kind = 'FINISHED', r.sent_at)) AS outcome,
    argMax(r.version, (kind = 'FINISHED', r.sent_at)) AS version
FROM runs AS r
WHERE run_id = {run_id:String} AND ({agent_id:String} = '' OR agent_id = {agent_id:String})
GROUP BY agent_id, attempt
ORDER BY agent_id, attempt
