-- What the actions and observations of an episode are, what was logged in it, and which episodes of the env are beside it.
SELECT
    groupUniqArray(100)((action_dtype::String, arrayMap(n -> toInt64(n), action_shape))) AS actions,
    groupUniqArray(100)((observation_dtype::String, arrayMap(n -> toInt64(n), observation_shape))) AS observations,
    arraySort(groupUniqArrayArray(1000)(mapKeys(extras)))::Array(String) AS logged,
    arraySort(groupUniqArray(20)(kind::String)) AS kinds
FROM steps
WHERE $episode
