        toInt64(step) AS step,
        cityHash64(toString(action_dtype), action_shape, action_raw) AS action,
        cityHash64(toString(observation_dtype), observation_shape, observation_raw) AS observation,
        if(isFinite(reward), reinterpretAsUInt64(reward), 9223372036854775807) AS reward,
        terminated,
        truncated
    FROM steps
    WHERE $episode
