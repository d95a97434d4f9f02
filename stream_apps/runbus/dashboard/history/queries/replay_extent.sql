-- From when to when the stored episodes of a run ended, and how many they are.
SELECT
    toUnixTimestamp64Micro(min(last_ts)) AS first,
    toUnixTimestamp64Micro(max(last_ts)) AS last,
    count() AS episodes
FROM
(
    SELECT last_ts
    FROM episodes
    WHERE run_id = {run:String} AND $below
    $newest
)
