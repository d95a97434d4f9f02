-- What few steps of a stretch of a stream have; a row without any of it is not there.
SELECT seq, kind, status, stop, info, seed_text, labels, extras, extras_repeated
FROM steps
WHERE run_id = {run_id:String} AND agent_id = {agent_id:String} AND attempt = {attempt:Int64}
    AND seq BETWEEN {first:Int64} AND {last:Int64}
    AND (
        notEmpty(kind) OR notEmpty(status) OR notEmpty(stop) OR notEmpty(info) OR notEmpty(labels) OR notEmpty(extras)
        OR seed IS NOT NULL OR notEmpty(seed_large)
    )
ORDER BY seq
LIMIT 1 BY seq
