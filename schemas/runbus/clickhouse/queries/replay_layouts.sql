-- The layouts of a stream's actions and observations. An absent value has the dtype of the others. Of a shape the first
-- length is left out of the key, and given as its least and greatest value among the rows that have a value: where they
-- differ, the arrays are ragged.
SELECT
    if(startsWith(action_dtype, 'absent:'), substring(action_dtype, 8), action_dtype) AS action,
    length(action_shape) AS action_dimensions,
    arraySlice(action_shape, 2) AS action_rest,
    if(startsWith(observation_dtype, 'absent:'), substring(observation_dtype, 8), observation_dtype) AS observation,
    length(observation_shape) AS observation_dimensions,
    arraySlice(observation_shape, 2) AS observation_rest,
    toString((action, action_dimensions, action_rest, observation, observation_dimensions, observation_rest)) AS key,
    minIf(action_shape[1], action_dtype = action AND (step > 0 OR notEmpty(action_raw))) AS action_least,
    maxIf(action_shape[1], action_dtype = action AND (step > 0 OR notEmpty(action_raw))) AS action_most,
    minIf(observation_shape[1], observation_dtype = observation) AS observation_least,
    maxIf(observation_shape[1], observation_dtype = observation) AS observation_most
FROM steps
WHERE run_id = {run_id:String} AND agent_id = {agent_id:String} AND attempt = {attempt:Int64} AND seq <= {last:Int64}
GROUP BY action, action_dimensions, action_rest, observation, observation_dimensions, observation_rest
ORDER BY key
