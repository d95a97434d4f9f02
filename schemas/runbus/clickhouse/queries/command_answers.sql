-- What the agents of one run answered to its commands.
SELECT id, agent_id, attempt, answer, note, answered_at
FROM command_answers
WHERE run_id = {run_id:String}
ORDER BY agent_id, attempt, taken_at
