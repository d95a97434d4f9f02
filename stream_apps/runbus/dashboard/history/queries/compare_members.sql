-- The runs that are compared, the arm and the stratum of each, and its configuration.
SELECT run, arm, stratum, config, labels, count() OVER () AS found
FROM
(
    SELECT *, $arm AS arm, $stratum AS stratum
    FROM
    (
$runs
    )
)
WHERE ($filter)
ORDER BY run
LIMIT {most:UInt32}
