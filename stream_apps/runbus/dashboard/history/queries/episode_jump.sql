-- The step of an episode to go to from another one; no row = there is none.
SELECT step
FROM
(
    SELECT
        toInt64(step) AS step,
        reward,
        status,
        cityHash64(toString(action_dtype), action_shape, action_raw) AS action,
        lagInFrame(action, 1, action) OVER (ORDER BY seq ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS action_before
    FROM steps
    WHERE $episode AND $near
)
WHERE $wanted
ORDER BY $order
LIMIT 1
