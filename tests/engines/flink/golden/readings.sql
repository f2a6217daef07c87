CREATE TABLE `readings` (
  `id` BIGINT,
  `name` STRING,
  `value` BIGINT,
  `at` TIMESTAMP_LTZ(3),
  `$partition` INT METADATA FROM 'partition' VIRTUAL,
  `$arrived` AS PROCTIME(),
  `$logged` TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
  WATERMARK FOR `at` AS CASE WHEN (`at` IS NOT NULL) AND (`at` <= `$logged` + INTERVAL '1' DAY) THEN `at` - INTERVAL '3' SECOND ELSE NULL END
) WITH (
  'connector' = 'kafka',
  'topic' = 'readings',
  'properties.bootstrap.servers' = 'kafka:9092',
  'properties.group.id' = 'fluxline',
  'properties.isolation.level' = 'read_committed',
  'properties.commit.offsets.on.checkpoint' = 'false',
  'scan.startup.mode' = 'earliest-offset',
  'scan.topic-partition-discovery.interval' = '1000 ms',
  'scan.watermark.emit.strategy' = 'on-event',
  'format' = 'fluxline-json',
  'fluxline-json.timestamp-format.standard' = 'ISO-8601',
  'fluxline-json.not-null' = 'id',
  'scan.watermark.idle-timeout' = '60000 ms'
);

CREATE VIEW `readings/rows` AS
SELECT
  `id`,
  `name`,
  `value`,
  `at`,
  `$seen`
FROM (
  SELECT
    `id`,
    `name`,
    `value`,
    `at`,
    MAX(CAST(`at` AS TIMESTAMP_LTZ(3))) OVER (PARTITION BY CASE WHEN `$partition` = 0 THEN 246 WHEN `$partition` = 1 THEN 46 WHEN `$partition` = 2 THEN 6 ELSE -1 - `$partition` END ORDER BY `$arrived` ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS `$seen`
  FROM `readings`
  WHERE (`at` IS NOT NULL)
    AND (`at` <= `$logged` + INTERVAL '1' DAY)
);

CREATE VIEW `readings/aggregate/name/tumble(10 seconds)` AS
SELECT
  `name`,
  `window_start`,
  `window_end`,
  COUNT(*) AS `rows`,
  COUNT(`value`) AS `values`,
  SUM(`doubled`) AS `total`,
  MIN(`id`) AS `least`,
  `window_time`
FROM TABLE(TUMBLE(
  DATA => (
    SELECT *
    FROM (
      SELECT
        `id`,
        `name`,
        `value`,
        `at`,
        `value` * CAST(2 AS BIGINT) AS `doubled`,
        `$seen`
      FROM (
        SELECT
          `id`,
          `name`,
          `value`,
          `at`,
          `$seen`
        FROM `readings/rows`
        WHERE ((MOD(`id`, CAST(10 AS BIGINT)) + CASE WHEN MOD(`id`, CAST(10 AS BIGINT)) <> 0 AND (MOD(`id`, CAST(10 AS BIGINT)) < 0) <> (CAST(10 AS BIGINT) < 0) THEN CAST(10 AS BIGINT) ELSE 0 END) <> CAST(7 AS BIGINT))
      )
    )
    WHERE (NOT ((((EXTRACT(EPOCH FROM `at`) * 1000 + EXTRACT(MILLISECOND FROM `at`)) - (MOD(MOD((EXTRACT(EPOCH FROM `at`) * 1000 + EXTRACT(MILLISECOND FROM `at`)) - 0, 10000) + 10000, 10000)) + 10000 - 1) <= (EXTRACT(EPOCH FROM `$seen`) * 1000 + EXTRACT(MILLISECOND FROM `$seen`)) - 3000) OR (CURRENT_WATERMARK(`at`) IS NOT NULL AND ((EXTRACT(EPOCH FROM `at`) * 1000 + EXTRACT(MILLISECOND FROM `at`)) - (MOD(MOD((EXTRACT(EPOCH FROM `at`) * 1000 + EXTRACT(MILLISECOND FROM `at`)) - 0, 10000) + 10000, 10000)) + 10000 - 1) <= (EXTRACT(EPOCH FROM CURRENT_WATERMARK(`at`)) * 1000 + EXTRACT(MILLISECOND FROM CURRENT_WATERMARK(`at`))))))
  ),
  TIMECOL => DESCRIPTOR(`at`),
  SIZE => INTERVAL '10' SECOND
))
GROUP BY `name`, `window_start`, `window_end`, `window_time`;

CREATE TABLE `totals` (
  `name` STRING,
  `window_start` TIMESTAMP(3),
  `window_end` TIMESTAMP(3),
  `rows` BIGINT,
  `values` BIGINT,
  `total` BIGINT,
  `least` BIGINT
) WITH (
  'connector' = 'kafka',
  'topic' = 'totals',
  'properties.bootstrap.servers' = 'kafka:9092',
  'sink.delivery-guarantee' = 'at-least-once',
  'format' = 'json',
  'json.timestamp-format.standard' = 'ISO-8601',
  'json.encode.decimal-as-plain-number' = 'true'
);

CREATE VIEW `readings/aggregate/name/tumble(10 seconds)/late` AS
SELECT
  `id`,
  `name`,
  `value`,
  `at`,
  `doubled`
FROM (
  SELECT
    `id`,
    `name`,
    `value`,
    `at`,
    `value` * CAST(2 AS BIGINT) AS `doubled`,
    `$seen`
  FROM (
    SELECT
      `id`,
      `name`,
      `value`,
      `at`,
      `$seen`
    FROM `readings/rows`
    WHERE ((MOD(`id`, CAST(10 AS BIGINT)) + CASE WHEN MOD(`id`, CAST(10 AS BIGINT)) <> 0 AND (MOD(`id`, CAST(10 AS BIGINT)) < 0) <> (CAST(10 AS BIGINT) < 0) THEN CAST(10 AS BIGINT) ELSE 0 END) <> CAST(7 AS BIGINT))
  )
)
WHERE ((((EXTRACT(EPOCH FROM `at`) * 1000 + EXTRACT(MILLISECOND FROM `at`)) - (MOD(MOD((EXTRACT(EPOCH FROM `at`) * 1000 + EXTRACT(MILLISECOND FROM `at`)) - 0, 10000) + 10000, 10000)) + 10000 - 1) <= (EXTRACT(EPOCH FROM `$seen`) * 1000 + EXTRACT(MILLISECOND FROM `$seen`)) - 3000) OR (CURRENT_WATERMARK(`at`) IS NOT NULL AND ((EXTRACT(EPOCH FROM `at`) * 1000 + EXTRACT(MILLISECOND FROM `at`)) - (MOD(MOD((EXTRACT(EPOCH FROM `at`) * 1000 + EXTRACT(MILLISECOND FROM `at`)) - 0, 10000) + 10000, 10000)) + 10000 - 1) <= (EXTRACT(EPOCH FROM CURRENT_WATERMARK(`at`)) * 1000 + EXTRACT(MILLISECOND FROM CURRENT_WATERMARK(`at`)))));

CREATE TABLE `late` (
  `id` BIGINT,
  `name` STRING,
  `value` BIGINT,
  `at` TIMESTAMP_LTZ(3),
  `doubled` BIGINT
) WITH (
  'connector' = 'kafka',
  'topic' = 'late',
  'properties.bootstrap.servers' = 'kafka:9092',
  'sink.delivery-guarantee' = 'at-least-once',
  'format' = 'json',
  'json.timestamp-format.standard' = 'ISO-8601',
  'json.encode.decimal-as-plain-number' = 'true'
);

CREATE TABLE `by_name` (
  `name` STRING,
  `rows` BIGINT,
  `largest` BIGINT,
  PRIMARY KEY (`name`) NOT ENFORCED
) WITH (
  'connector' = 'upsert-kafka',
  'topic' = 'by_name',
  'properties.bootstrap.servers' = 'kafka:9092',
  'sink.delivery-guarantee' = 'at-least-once',
  'key.format' = 'json',
  'key.json.timestamp-format.standard' = 'ISO-8601',
  'key.json.encode.decimal-as-plain-number' = 'true',
  'value.format' = 'json',
  'value.json.timestamp-format.standard' = 'ISO-8601',
  'value.json.encode.decimal-as-plain-number' = 'true'
);

EXECUTE STATEMENT SET BEGIN
INSERT INTO `totals`
SELECT
  `name`,
  `window_start`,
  `window_end`,
  `rows`,
  `values`,
  `total`,
  `least`
FROM `readings/aggregate/name/tumble(10 seconds)`;
INSERT INTO `late`
SELECT
  `id`,
  `name`,
  `value`,
  `at`,
  `doubled`
FROM `readings/aggregate/name/tumble(10 seconds)/late`;
INSERT INTO `by_name`
SELECT
  `name`,
  `rows`,
  `largest`
FROM (
  SELECT
    `name`,
    COUNT(*) AS `rows`,
    MAX(`value`) AS `largest`
  FROM (
    SELECT
      COALESCE(`name`, CAST('nobody' AS STRING)) AS `name`,
      `value`
    FROM `readings/rows`
  )
  GROUP BY `name`
);
END;
