-- The runs whose names are nearest to one that is not there.
SELECT run_id::String AS run
FROM (SELECT DISTINCT run_id FROM runs)
ORDER BY ngramDistanceCaseInsensitive(run_id::String, {run:String}), run
LIMIT 5
