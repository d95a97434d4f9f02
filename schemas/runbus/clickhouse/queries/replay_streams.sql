-- The streams of a run (of one agent, or '' = all): last seq, mean bytes of an action and an observation, and
-- whether a row has a text, a label or a logged number.
SELECT
    agent_id,
    attempt,
    max(seq) AS last_seq,
    avg(length(action_raw) + length(observation_raw)) AS row_bytes,
    countIf(notEmpty(kind) OR notEmpty(status) OR notEmpty(stop) OR notEmpty(info) OR notEmpty(labels) OR notEmpty(extras))
        > 0 AS words
FROM steps
WHERE run_id = {run:String} AND ({agent:String} = '' OR agent_id = {agent:String})
GROUP BY agent_id, attempt
ORDER BY agent_id, attempt
