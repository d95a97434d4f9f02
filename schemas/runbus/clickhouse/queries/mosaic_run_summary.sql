-- What MOSAIC asks of a run: its finalised episodes and their return, its steps without resets, its newest step, and of its newest stream
-- outcome and agent; a run that there is not has no outcome.
SELECT
    (SELECT count() FROM episodes_latest WHERE run_id = {run_id:String}) AS episodes,
    (SELECT uniqExact(agent_id, attempt, seq) FROM steps WHERE run_id = {run_id:String} AND step > 0) AS steps,
    (SELECT sum(e.`return`) FROM episodes_latest AS e WHERE run_id = {run_id:String}) AS total_reward,
    (SELECT toUnixTimestamp64Micro(max(ts)) FROM steps WHERE run_id = {run_id:String}) AS last_us,
    (
        SELECT if(count() = 0, NULL, argMax(outcome, attempt)) FROM stream_summary WHERE run_id = {run_id:String}
    ) AS outcome,
    (SELECT argMax(agent_id, (ts, seq)) FROM steps WHERE run_id = {run_id:String}) AS agent
