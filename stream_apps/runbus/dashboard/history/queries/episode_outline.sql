-- The steps of an episode without what was said in them: who acted, how it went, what caused it, what it cost.
SELECT
    seq,
    step,
    toUnixTimestamp64Micro(t.ts) AS ts,
    t.kind::String AS kind,
    t.status::String AS status,
    parent,
    if(isFinite(reward), reward, 0) AS reward,
    extras['llm.input_tokens'] AS input,
    extras['llm.output_tokens'] AS output,
    extras['llm.cached_tokens'] AS cached,
    extras['llm.cost_usd'] AS cost,
    extras['duration_ms'] AS duration
FROM steps AS t
WHERE $episode AND step >= {from:Int32}
ORDER BY seq
LIMIT {most:UInt32}
