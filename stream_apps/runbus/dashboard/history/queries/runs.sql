-- A page of the list of runs.
SELECT *, $number AS key_number, $text AS key_text
FROM
(
SELECT r.*$mean
FROM
(
$runs
) AS r
$returns
)
WHERE ($filter) AND ($after)
ORDER BY key_number $direction, key_text $direction, run $direction
LIMIT {most:UInt32}
