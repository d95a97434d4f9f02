-- Dead letters by topic, consumer and error: how many records and steps, and the newest of each as a sample.
SELECT
    l.about::String AS topic,
    l.consumer::String AS component,
    l.kind AS kind,
    count() AS records,
    sum(l.steps) AS steps,
    toUnixTimestamp64Micro(max(l.at)) AS newest,
    argMax(l.reason, l.at) AS error,
    argMax(l.number, l.at) AS partition,
    argMax(l.place, l.at) AS offset,
    argMax(l.run, l.at) AS run,
    argMax(l.agent, l.at) AS agent,
    argMax(l.letter, l.at) AS key,
    argMax(l.size, l.at) AS bytes
FROM
(
    SELECT
        topic AS about,
        component AS consumer,
        replaceRegexpAll(substring(error, 1, 300), '[0-9]+', '#') AS kind,
        substring(error, 1, 1000) AS reason,
        d.count AS steps,
        failed_at AS at,
        partition AS number,
        d.offset AS place,
        run_id AS run,
        agent_id AS agent,
        key AS letter,
        coalesce(length(value), 0) AS size
    FROM dead_letters_latest AS d
) AS l
GROUP BY l.about, l.consumer, l.kind
ORDER BY newest DESC
LIMIT {most:UInt32}
