-- Grafana and the like, which set limits of their own for each query: reads the same, and may only tighten.
CREATE ROLE IF NOT EXISTS `{database}_dashboard`;
GRANT SELECT ON `{database}`.* TO `{database}_dashboard`;
CREATE SETTINGS PROFILE OR REPLACE `{database}_dashboard` SETTINGS
    readonly = 2,
    max_execution_time = 30 MIN 1 MAX 60,
    max_memory_usage = 2000000000 MIN 1 MAX 2000000000,
    max_result_bytes = 200000000 MIN 1 MAX 200000000
    TO `{database}_dashboard`;
CREATE QUOTA OR REPLACE `{database}_dashboard` KEYED BY user_name
    FOR INTERVAL 1 minute MAX queries = 3000, execution_time = 600
    TO `{database}_dashboard`;
