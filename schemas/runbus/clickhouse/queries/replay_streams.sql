-- The streams of a run (of one agent, or '' = all): last seq, mean bytes of an action and an observation, whether a row
-- has a text, a label, a seed or a logged number, and whether one has a tick or a parent.
SELECT
    agent_id,
    attempt,
    max(seq) AS last_seq,
    avg(length(action_raw) + length(observation_raw)) AS row_bytes,
    countIf(
        notEmpty(kind) OR notEmpty(status) OR notEmpty(stop) OR notEmpty(info) OR notEmpty(labels) OR notEmpty(extras)
        OR seed IS NOT NULL OR notEmpty(seed_large)
    ) > 0 AS words,
    countIf(tick >= 0 OR parent >= 0) > 0 AS marks
FROM steps
WHERE run_id = {run_id:String} AND ({agent_id:String} = '' OR agent_id = {agent_id:String})
GROUP BY agent_id, attempt
ORDER BY agent_id, attempt
