-- `runbus audit`, `run`, `query`, pages and notebooks: reads every table and view of the database, changes nothing, not
-- even a setting.
CREATE ROLE IF NOT EXISTS `{database}_reader`;
GRANT SELECT ON `{database}`.* TO `{database}_reader`;
CREATE SETTINGS PROFILE OR REPLACE `{database}_reader` SETTINGS
    readonly = 1,
    max_execution_time = 60,
    max_memory_usage = 4000000000,
    max_result_bytes = 1000000000
    TO `{database}_reader`;
CREATE QUOTA OR REPLACE `{database}_reader` KEYED BY user_name
    FOR INTERVAL 1 minute MAX queries = 6000, execution_time = 1200
    TO `{database}_reader`;
