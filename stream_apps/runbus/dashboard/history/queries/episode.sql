-- One episode: what its stored steps say, beside the newest revision of its result if it is finalised.
SELECT
    s.rows AS rows,
    s.first_seq AS first_seq,
    s.last_seq AS last_seq,
    s.last_step AS last_step,
    s.first_ts AS first_ts,
    s.last_ts AS last_ts,
    s.stored_return AS stored_return,
    s.min_reward AS min_reward,
    s.max_reward AS max_reward,
    s.terminated AS terminated,
    s.truncated AS truncated,
    s.has_reset AS has_reset,
    s.last_tick AS last_tick,
    s.seed AS seed,
    e.finalised AS finalised,
    e.revision AS revision,
    e.reason AS reason,
    e.complete AS complete,
    e.missing AS missing,
    e.`return` AS `return`,
    e.length AS length,
    if(e.finalised, e.labels, s.labels) AS labels,
    if(e.finalised, e.stop, s.stop) AS stop
FROM
(
    SELECT
        count() AS rows,
        min(seq) AS first_seq,
        max(seq) AS last_seq,
        max(step) AS last_step,
        toUnixTimestamp64Micro(min(t.ts)) AS first_ts,
        toUnixTimestamp64Micro(max(t.ts)) AS last_ts,
        sumIf(reward, step > 0) AS stored_return,
        minIf(reward, step > 0) AS min_reward,
        maxIf(reward, step > 0) AS max_reward,
        max(t.terminated) AS terminated,
        max(t.truncated) AS truncated,
        countIf(step = 0) > 0 AS has_reset,
        max(tick) AS last_tick,
        anyIf(seed_text, step = 0) AS seed,
        anyIf(t.labels, notEmpty(t.labels))::Map(String, String) AS labels,
        anyLastIf(t.stop, notEmpty(t.stop)) AS stop
    FROM steps AS t
    WHERE $episode
) AS s
CROSS JOIN
(
    SELECT
        count() > 0 AS finalised,
        max(revision) AS revision,
        argMax(x.reason, (x.revision, kafka_offset))::String AS reason,
        argMax(x.complete, (x.revision, kafka_offset)) AS complete,
        argMax(arrayMap(m -> [m.1, m.2], x.missing), (x.revision, kafka_offset)) AS missing,
        argMax(x.`return`, (x.revision, kafka_offset)) AS `return`,
        argMax(x.length, (x.revision, kafka_offset)) AS length,
        argMax(x.labels, (x.revision, kafka_offset))::Map(String, String) AS labels,
        argMax(x.stop, (x.revision, kafka_offset)) AS stop
    FROM episodes AS x
    WHERE run_id = {run:String} AND agent_id = {agent:String} AND attempt = {attempt:Int64} AND env = {env:Int32}
        AND episode = {episode:Int64} AND $below_episodes
) AS e
