-- The holes in the seq of one stream, both ends included. What follows the last stored step is not a hole.
SELECT
    previous + 1 AS first_seq,
    seq - 1 AS last_seq
FROM
(
    SELECT
        seq,
        lagInFrame(seq, 1, toInt64(-1)) OVER (ORDER BY seq ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS previous
    FROM steps
    WHERE run_id = {run_id:String} AND agent_id = {agent_id:String} AND attempt = {attempt:Int64}
)
WHERE seq > previous + 1
ORDER BY first_seq
