-- How a run ended, by the rule of run_summary: running while one of its streams that no newer one replaced has not ended.
SELECT
    outcome::String AS outcome,
    agents,
    attempts,
    toUnixTimestamp64Micro(started_at) AS started_at,
    if(finished_at IS NULL, NULL, toUnixTimestamp64Micro(assumeNotNull(finished_at))) AS finished_at,
    produced,
    dropped,
    episodes,
    labels::Map(String, String) AS labels,
    tags::Array(String) AS tags
FROM run_summary
WHERE run_id = {run:String}
