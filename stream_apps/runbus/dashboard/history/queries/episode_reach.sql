-- The first and the last seq of an episode; -1 if none of its steps is stored.
SELECT if(count() = 0, -1, min(seq)) AS first_seq, if(count() = 0, -1, max(seq)) AS last_seq
FROM steps
WHERE $episode
