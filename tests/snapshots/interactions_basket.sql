SELECT
  CAST("t24"."number" AS INT) AS "number",
  CAST("t24"."item" AS INT) AS "item",
  "t24"."kind",
  "t24"."time"
FROM (
  SELECT
    "t14"."analytic_id",
    "t14"."session",
    "t14"."time",
    "t14"."received",
    "t14"."product",
    "t14"."place",
    "t14"."kind",
    "t19"."item",
    "t23"."number"
  FROM (
    SELECT
      "t12".*
      EXCLUDE ("rank")
    FROM (
      SELECT
        *
      FROM (
        SELECT
          "t10"."analytic_id",
          "t10"."session",
          "t10"."time",
          "t10"."received",
          "t10"."product",
          "t10"."place",
          "t10"."kind",
          ROW_NUMBER() OVER (
            PARTITION BY "t10"."analytic_id", "t10"."session"
            ORDER BY "t10"."time" DESC, "t10"."received" DESC, "t10"."place" ASC, "t10"."product" ASC
            ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
          ) - 1 AS "rank"
        FROM (
          SELECT
            "t9"."analytic_id",
            "t9"."session",
            "t9"."time",
            "t9"."received",
            "t9"."product",
            "t9"."place",
            "t9"."kind"
          FROM (
            SELECT
              "t7"."analytic_id",
              "t7"."session",
              "t7"."time",
              "t7"."received",
              "t7"."product",
              "t7"."place",
              2 AS "kind"
            FROM (
              SELECT
                "t6"."analytic_id",
                "t6"."session",
                "t6"."time",
                "t6"."received",
                "t6"."product",
                MIN("t6"."place") AS "place"
              FROM (
                SELECT
                  "t5"."analytic_id",
                  "t5"."time",
                  "t5"."received",
                  "t5"."order" AS "session",
                  UNNEST(RANGE(0, ARRAY_LENGTH("t5"."products"), 1)) AS "place",
                  UNNEST("t5"."products") AS "product"
                FROM (
                  SELECT
                    *
                  FROM (
                    SELECT
                      "t3"."order",
                      FIRST("t3"."analytic_id" ORDER BY {'time': "t3"."time", 'received': "t3"."received"}) FILTER(WHERE
                        "t3"."event" IN ('Order Completed', 'Order Updated')) AS "analytic_id",
                      FIRST("t3"."session_start" ORDER BY {'time': "t3"."time", 'received': "t3"."received"}) FILTER(WHERE
                        "t3"."event" IN ('Order Completed', 'Order Updated')) AS "visit",
                      COALESCE(
                        MIN("t3"."time") FILTER(WHERE
                          "t3"."event" = 'Order Completed'),
                        MIN("t3"."time") FILTER(WHERE
                          "t3"."event" IN ('Order Completed', 'Order Updated'))
                      ) AS "time",
                      MIN("t3"."received") FILTER(WHERE
                        "t3"."event" IN ('Order Completed', 'Order Updated')) AS "received",
                      FIRST(
                        "t3"."product_ids" ORDER BY {'time': "t3"."time", 'received': "t3"."received"} DESC
                      ) FILTER(WHERE
                        "t3"."event" IN ('Order Completed', 'Order Updated')
                        AND (
                          ARRAY_LENGTH("t3"."product_ids") > 0
                        )) AS "products",
                      BOOL_OR(CAST("t3"."event" IN ('Order Cancelled', 'Order Returned') AS BOOLEAN)) AS "undone"
                    FROM (
                      SELECT
                        *
                      FROM "facts" AS "t1"
                      WHERE
                        "t1"."store" = 'acme'
                        AND "t1"."environment" = 'live'
                        AND "t1"."flags" = 0
                        AND (
                          "t1"."mask" & 2
                        ) = 2
                        AND "t1"."time" <= 1790000000000
                        AND "t1"."day" >= MAKE_DATE(2026, 8, 22)
                        AND "t1"."session_start" >= 1787408000000
                        AND "t1"."event" IN (
                          'Order Cancelled',
                          'Order Completed',
                          'Order Refunded',
                          'Order Returned',
                          'Order Updated'
                        )
                        AND "t1"."trusted"
                        AND "t1"."order" IS NOT NULL
                    ) AS "t3"
                    GROUP BY
                      1
                  ) AS "t4"
                  WHERE
                    NOT (
                      "t4"."undone"
                    )
                    AND "t4"."time" IS NOT NULL
                    AND "t4"."products" IS NOT NULL
                ) AS "t5"
              ) AS "t6"
              GROUP BY
                1,
                2,
                3,
                4,
                5
            ) AS "t7"
          ) AS "t9"
          ANTI JOIN "sensitive" AS "t2"
            ON "t9"."product" = "t2"."product"
        ) AS "t10"
      ) AS "t11"
      WHERE
        "t11"."rank" < 200
    ) AS "t12"
  ) AS "t14"
  INNER JOIN (
    SELECT
      "t17"."product",
      ROW_NUMBER() OVER (
        ORDER BY "t17"."product" ASC
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
      ) - 1 AS "item"
    FROM (
      SELECT
        *
      FROM (
        SELECT
          "t15"."product",
          COUNT(*) AS "shoppers"
        FROM (
          SELECT DISTINCT
            "t13"."product",
            "t13"."analytic_id"
          FROM (
            SELECT
              "t12".*
              EXCLUDE ("rank")
            FROM (
              SELECT
                *
              FROM (
                SELECT
                  "t10"."analytic_id",
                  "t10"."session",
                  "t10"."time",
                  "t10"."received",
                  "t10"."product",
                  "t10"."place",
                  "t10"."kind",
                  ROW_NUMBER() OVER (
                    PARTITION BY "t10"."analytic_id", "t10"."session"
                    ORDER BY "t10"."time" DESC, "t10"."received" DESC, "t10"."place" ASC, "t10"."product" ASC
                    ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                  ) - 1 AS "rank"
                FROM (
                  SELECT
                    "t9"."analytic_id",
                    "t9"."session",
                    "t9"."time",
                    "t9"."received",
                    "t9"."product",
                    "t9"."place",
                    "t9"."kind"
                  FROM (
                    SELECT
                      "t7"."analytic_id",
                      "t7"."session",
                      "t7"."time",
                      "t7"."received",
                      "t7"."product",
                      "t7"."place",
                      2 AS "kind"
                    FROM (
                      SELECT
                        "t6"."analytic_id",
                        "t6"."session",
                        "t6"."time",
                        "t6"."received",
                        "t6"."product",
                        MIN("t6"."place") AS "place"
                      FROM (
                        SELECT
                          "t5"."analytic_id",
                          "t5"."time",
                          "t5"."received",
                          "t5"."order" AS "session",
                          UNNEST(RANGE(0, ARRAY_LENGTH("t5"."products"), 1)) AS "place",
                          UNNEST("t5"."products") AS "product"
                        FROM (
                          SELECT
                            *
                          FROM (
                            SELECT
                              "t3"."order",
                              FIRST("t3"."analytic_id" ORDER BY {'time': "t3"."time", 'received': "t3"."received"}) FILTER(WHERE
                                "t3"."event" IN ('Order Completed', 'Order Updated')) AS "analytic_id",
                              FIRST("t3"."session_start" ORDER BY {'time': "t3"."time", 'received': "t3"."received"}) FILTER(WHERE
                                "t3"."event" IN ('Order Completed', 'Order Updated')) AS "visit",
                              COALESCE(
                                MIN("t3"."time") FILTER(WHERE
                                  "t3"."event" = 'Order Completed'),
                                MIN("t3"."time") FILTER(WHERE
                                  "t3"."event" IN ('Order Completed', 'Order Updated'))
                              ) AS "time",
                              MIN("t3"."received") FILTER(WHERE
                                "t3"."event" IN ('Order Completed', 'Order Updated')) AS "received",
                              FIRST(
                                "t3"."product_ids" ORDER BY {'time': "t3"."time", 'received': "t3"."received"} DESC
                              ) FILTER(WHERE
                                "t3"."event" IN ('Order Completed', 'Order Updated')
                                AND (
                                  ARRAY_LENGTH("t3"."product_ids") > 0
                                )) AS "products",
                              BOOL_OR(CAST("t3"."event" IN ('Order Cancelled', 'Order Returned') AS BOOLEAN)) AS "undone"
                            FROM (
                              SELECT
                                *
                              FROM "facts" AS "t1"
                              WHERE
                                "t1"."store" = 'acme'
                                AND "t1"."environment" = 'live'
                                AND "t1"."flags" = 0
                                AND (
                                  "t1"."mask" & 2
                                ) = 2
                                AND "t1"."time" <= 1790000000000
                                AND "t1"."day" >= MAKE_DATE(2026, 8, 22)
                                AND "t1"."session_start" >= 1787408000000
                                AND "t1"."event" IN (
                                  'Order Cancelled',
                                  'Order Completed',
                                  'Order Refunded',
                                  'Order Returned',
                                  'Order Updated'
                                )
                                AND "t1"."trusted"
                                AND "t1"."order" IS NOT NULL
                            ) AS "t3"
                            GROUP BY
                              1
                          ) AS "t4"
                          WHERE
                            NOT (
                              "t4"."undone"
                            )
                            AND "t4"."time" IS NOT NULL
                            AND "t4"."products" IS NOT NULL
                        ) AS "t5"
                      ) AS "t6"
                      GROUP BY
                        1,
                        2,
                        3,
                        4,
                        5
                    ) AS "t7"
                  ) AS "t9"
                  ANTI JOIN "sensitive" AS "t2"
                    ON "t9"."product" = "t2"."product"
                ) AS "t10"
              ) AS "t11"
              WHERE
                "t11"."rank" < 200
            ) AS "t12"
          ) AS "t13"
        ) AS "t15"
        GROUP BY
          1
      ) AS "t16"
      WHERE
        "t16"."shoppers" >= 3
    ) AS "t17"
  ) AS "t19"
    ON "t14"."product" = "t19"."product"
  INNER JOIN (
    SELECT
      "t21"."analytic_id",
      "t21"."session",
      ROW_NUMBER() OVER (
        ORDER BY "t21"."last" ASC, "t21"."first" ASC, "t21"."analytic_id" ASC, "t21"."session" ASC
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
      ) - 1 AS "number"
    FROM (
      SELECT
        "t20"."analytic_id",
        "t20"."session",
        MIN("t20"."time") AS "first",
        MAX("t20"."time") AS "last"
      FROM (
        SELECT
          "t14"."analytic_id",
          "t14"."session",
          "t14"."time",
          "t14"."received",
          "t14"."product",
          "t14"."place",
          "t14"."kind"
        FROM (
          SELECT
            "t12".*
            EXCLUDE ("rank")
          FROM (
            SELECT
              *
            FROM (
              SELECT
                "t10"."analytic_id",
                "t10"."session",
                "t10"."time",
                "t10"."received",
                "t10"."product",
                "t10"."place",
                "t10"."kind",
                ROW_NUMBER() OVER (
                  PARTITION BY "t10"."analytic_id", "t10"."session"
                  ORDER BY "t10"."time" DESC, "t10"."received" DESC, "t10"."place" ASC, "t10"."product" ASC
                  ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                ) - 1 AS "rank"
              FROM (
                SELECT
                  "t9"."analytic_id",
                  "t9"."session",
                  "t9"."time",
                  "t9"."received",
                  "t9"."product",
                  "t9"."place",
                  "t9"."kind"
                FROM (
                  SELECT
                    "t7"."analytic_id",
                    "t7"."session",
                    "t7"."time",
                    "t7"."received",
                    "t7"."product",
                    "t7"."place",
                    2 AS "kind"
                  FROM (
                    SELECT
                      "t6"."analytic_id",
                      "t6"."session",
                      "t6"."time",
                      "t6"."received",
                      "t6"."product",
                      MIN("t6"."place") AS "place"
                    FROM (
                      SELECT
                        "t5"."analytic_id",
                        "t5"."time",
                        "t5"."received",
                        "t5"."order" AS "session",
                        UNNEST(RANGE(0, ARRAY_LENGTH("t5"."products"), 1)) AS "place",
                        UNNEST("t5"."products") AS "product"
                      FROM (
                        SELECT
                          *
                        FROM (
                          SELECT
                            "t3"."order",
                            FIRST("t3"."analytic_id" ORDER BY {'time': "t3"."time", 'received': "t3"."received"}) FILTER(WHERE
                              "t3"."event" IN ('Order Completed', 'Order Updated')) AS "analytic_id",
                            FIRST("t3"."session_start" ORDER BY {'time': "t3"."time", 'received': "t3"."received"}) FILTER(WHERE
                              "t3"."event" IN ('Order Completed', 'Order Updated')) AS "visit",
                            COALESCE(
                              MIN("t3"."time") FILTER(WHERE
                                "t3"."event" = 'Order Completed'),
                              MIN("t3"."time") FILTER(WHERE
                                "t3"."event" IN ('Order Completed', 'Order Updated'))
                            ) AS "time",
                            MIN("t3"."received") FILTER(WHERE
                              "t3"."event" IN ('Order Completed', 'Order Updated')) AS "received",
                            FIRST(
                              "t3"."product_ids" ORDER BY {'time': "t3"."time", 'received': "t3"."received"} DESC
                            ) FILTER(WHERE
                              "t3"."event" IN ('Order Completed', 'Order Updated')
                              AND (
                                ARRAY_LENGTH("t3"."product_ids") > 0
                              )) AS "products",
                            BOOL_OR(CAST("t3"."event" IN ('Order Cancelled', 'Order Returned') AS BOOLEAN)) AS "undone"
                          FROM (
                            SELECT
                              *
                            FROM "facts" AS "t1"
                            WHERE
                              "t1"."store" = 'acme'
                              AND "t1"."environment" = 'live'
                              AND "t1"."flags" = 0
                              AND (
                                "t1"."mask" & 2
                              ) = 2
                              AND "t1"."time" <= 1790000000000
                              AND "t1"."day" >= MAKE_DATE(2026, 8, 22)
                              AND "t1"."session_start" >= 1787408000000
                              AND "t1"."event" IN (
                                'Order Cancelled',
                                'Order Completed',
                                'Order Refunded',
                                'Order Returned',
                                'Order Updated'
                              )
                              AND "t1"."trusted"
                              AND "t1"."order" IS NOT NULL
                          ) AS "t3"
                          GROUP BY
                            1
                        ) AS "t4"
                        WHERE
                          NOT (
                            "t4"."undone"
                          )
                          AND "t4"."time" IS NOT NULL
                          AND "t4"."products" IS NOT NULL
                      ) AS "t5"
                    ) AS "t6"
                    GROUP BY
                      1,
                      2,
                      3,
                      4,
                      5
                  ) AS "t7"
                ) AS "t9"
                ANTI JOIN "sensitive" AS "t2"
                  ON "t9"."product" = "t2"."product"
              ) AS "t10"
            ) AS "t11"
            WHERE
              "t11"."rank" < 200
          ) AS "t12"
        ) AS "t14"
        SEMI JOIN (
          SELECT
            "t17"."product",
            ROW_NUMBER() OVER (
              ORDER BY "t17"."product" ASC
              ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
            ) - 1 AS "item"
          FROM (
            SELECT
              *
            FROM (
              SELECT
                "t15"."product",
                COUNT(*) AS "shoppers"
              FROM (
                SELECT DISTINCT
                  "t13"."product",
                  "t13"."analytic_id"
                FROM (
                  SELECT
                    "t12".*
                    EXCLUDE ("rank")
                  FROM (
                    SELECT
                      *
                    FROM (
                      SELECT
                        "t10"."analytic_id",
                        "t10"."session",
                        "t10"."time",
                        "t10"."received",
                        "t10"."product",
                        "t10"."place",
                        "t10"."kind",
                        ROW_NUMBER() OVER (
                          PARTITION BY "t10"."analytic_id", "t10"."session"
                          ORDER BY "t10"."time" DESC, "t10"."received" DESC, "t10"."place" ASC, "t10"."product" ASC
                          ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                        ) - 1 AS "rank"
                      FROM (
                        SELECT
                          "t9"."analytic_id",
                          "t9"."session",
                          "t9"."time",
                          "t9"."received",
                          "t9"."product",
                          "t9"."place",
                          "t9"."kind"
                        FROM (
                          SELECT
                            "t7"."analytic_id",
                            "t7"."session",
                            "t7"."time",
                            "t7"."received",
                            "t7"."product",
                            "t7"."place",
                            2 AS "kind"
                          FROM (
                            SELECT
                              "t6"."analytic_id",
                              "t6"."session",
                              "t6"."time",
                              "t6"."received",
                              "t6"."product",
                              MIN("t6"."place") AS "place"
                            FROM (
                              SELECT
                                "t5"."analytic_id",
                                "t5"."time",
                                "t5"."received",
                                "t5"."order" AS "session",
                                UNNEST(RANGE(0, ARRAY_LENGTH("t5"."products"), 1)) AS "place",
                                UNNEST("t5"."products") AS "product"
                              FROM (
                                SELECT
                                  *
                                FROM (
                                  SELECT
                                    "t3"."order",
                                    FIRST("t3"."analytic_id" ORDER BY {'time': "t3"."time", 'received': "t3"."received"}) FILTER(WHERE
                                      "t3"."event" IN ('Order Completed', 'Order Updated')) AS "analytic_id",
                                    FIRST("t3"."session_start" ORDER BY {'time': "t3"."time", 'received': "t3"."received"}) FILTER(WHERE
                                      "t3"."event" IN ('Order Completed', 'Order Updated')) AS "visit",
                                    COALESCE(
                                      MIN("t3"."time") FILTER(WHERE
                                        "t3"."event" = 'Order Completed'),
                                      MIN("t3"."time") FILTER(WHERE
                                        "t3"."event" IN ('Order Completed', 'Order Updated'))
                                    ) AS "time",
                                    MIN("t3"."received") FILTER(WHERE
                                      "t3"."event" IN ('Order Completed', 'Order Updated')) AS "received",
                                    FIRST(
                                      "t3"."product_ids" ORDER BY {'time': "t3"."time", 'received': "t3"."received"} DESC
                                    ) FILTER(WHERE
                                      "t3"."event" IN ('Order Completed', 'Order Updated')
                                      AND (
                                        ARRAY_LENGTH("t3"."product_ids") > 0
                                      )) AS "products",
                                    BOOL_OR(CAST("t3"."event" IN ('Order Cancelled', 'Order Returned') AS BOOLEAN)) AS "undone"
                                  FROM (
                                    SELECT
                                      *
                                    FROM "facts" AS "t1"
                                    WHERE
                                      "t1"."store" = 'acme'
                                      AND "t1"."environment" = 'live'
                                      AND "t1"."flags" = 0
                                      AND (
                                        "t1"."mask" & 2
                                      ) = 2
                                      AND "t1"."time" <= 1790000000000
                                      AND "t1"."day" >= MAKE_DATE(2026, 8, 22)
                                      AND "t1"."session_start" >= 1787408000000
                                      AND "t1"."event" IN (
                                        'Order Cancelled',
                                        'Order Completed',
                                        'Order Refunded',
                                        'Order Returned',
                                        'Order Updated'
                                      )
                                      AND "t1"."trusted"
                                      AND "t1"."order" IS NOT NULL
                                  ) AS "t3"
                                  GROUP BY
                                    1
                                ) AS "t4"
                                WHERE
                                  NOT (
                                    "t4"."undone"
                                  )
                                  AND "t4"."time" IS NOT NULL
                                  AND "t4"."products" IS NOT NULL
                              ) AS "t5"
                            ) AS "t6"
                            GROUP BY
                              1,
                              2,
                              3,
                              4,
                              5
                          ) AS "t7"
                        ) AS "t9"
                        ANTI JOIN "sensitive" AS "t2"
                          ON "t9"."product" = "t2"."product"
                      ) AS "t10"
                    ) AS "t11"
                    WHERE
                      "t11"."rank" < 200
                  ) AS "t12"
                ) AS "t13"
              ) AS "t15"
              GROUP BY
                1
            ) AS "t16"
            WHERE
              "t16"."shoppers" >= 3
          ) AS "t17"
        ) AS "t19"
          ON "t14"."product" = "t19"."product"
      ) AS "t20"
      GROUP BY
        1,
        2
    ) AS "t21"
  ) AS "t23"
    ON "t14"."analytic_id" = "t23"."analytic_id" AND "t14"."session" = "t23"."session"
) AS "t24"
ORDER BY
  "t24"."number" ASC,
  "t24"."time" ASC,
  "t24"."received" ASC,
  "t24"."kind" ASC,
  "t24"."place" ASC,
  "t24"."product" ASC
