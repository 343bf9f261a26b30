SELECT
  "t2"."unit",
  "t2"."exposed",
  "t2"."tainted",
  "t2"."first"."arm" AS "arm",
  "t2"."first"."device" AS "device",
  "t2"."first"."country" AS "country",
  "t2"."first"."browser" AS "browser",
  "t2"."first"."level" AS "level",
  "t2"."first"."placement" AS "placement",
  "t2"."first"."playbook" AS "playbook",
  "t2"."first"."mask" AS "mask",
  "t2"."first"."segments" AS "segments",
  "t2"."first"."propensity" AS "propensity",
  CASE
    WHEN "t2"."first"."outcome" IN ('shown', 'control', 'holdout')
    THEN CAST(NULL AS TEXT)
    ELSE "t2"."first"."outcome"
  END AS "ghost"
FROM (
  SELECT
    "t1"."unit",
    MIN("t1"."time") AS "exposed",
    FIRST(
      {'arm': "t1"."arm", 'outcome': "t1"."outcome", 'device': "t1"."device", 'country': "t1"."country", 'browser': "t1"."browser", 'level': "t1"."level", 'placement': "t1"."placement", 'playbook': "t1"."playbook", 'mask': "t1"."mask", 'segments': "t1"."segments", 'propensity': "t1"."propensity"} ORDER BY {'time': "t1"."time", 'received': COALESCE("t1"."received", 0), 'decision': COALESCE("t1"."decision", ''), 'arm': "t1"."arm", 'outcome': COALESCE("t1"."outcome", '')}
    ) AS "first",
    MIN("t1"."arm") <> MAX("t1"."arm") AS "tainted"
  FROM (
    SELECT
      CASE
        WHEN COALESCE(
          (
            "t0"."received" > 0
          ) AND (
            ABS("t0"."received" - "t0"."time") > 86400000
          ),
          FALSE
        )
        THEN "t0"."received"
        ELSE "t0"."time"
      END AS "time",
      "t0"."received",
      "t0"."decision",
      "t0"."outcome",
      "t0"."flags",
      COALESCE(
        (
          "t0"."received" > 0
        ) AND (
          ABS("t0"."received" - "t0"."time") > 86400000
        ),
        FALSE
      ) AS "skewed",
      "t0"."device",
      "t0"."country",
      "t0"."browser",
      "t0"."level",
      "t0"."placement",
      "t0"."playbook",
      "t0"."mask",
      "t0"."segments",
      CASE
        WHEN COALESCE("t0"."held" = 'shop', FALSE)
        THEN "t0"."propensity"
        ELSE CAST(NULL AS SMALLINT)
      END AS "propensity",
      "t0"."analytic_id" AS "unit",
      CASE
        WHEN COALESCE("t0"."held" = 'shop', FALSE)
        THEN 'holdout'
        ELSE 'personalized'
      END AS "arm"
    FROM "facts" AS "t0"
    WHERE
      "t0"."store" = 'acme'
      AND "t0"."environment" = 'live'
      AND "t0"."event" = 'Experience Viewed'
      AND CASE
        WHEN COALESCE(
          (
            "t0"."received" > 0
          ) AND (
            ABS("t0"."received" - "t0"."time") > 86400000
          ),
          FALSE
        )
        THEN "t0"."received"
        ELSE "t0"."time"
      END <= 1729036800000
      AND "t0"."flags" = 0
      AND "t0"."analytic_id" IS NOT NULL
  ) AS "t1"
  GROUP BY
    1
) AS "t2"
