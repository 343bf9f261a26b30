SELECT
  CAST("t26"."number" AS INT) AS "number",
  CAST("t26"."item" AS INT) AS "item",
  "t26"."kind",
  "t26"."time"
FROM (
  SELECT
    "t16"."analytic_id",
    "t16"."time",
    "t16"."received",
    "t16"."session",
    "t16"."kind",
    "t16"."place",
    "t16"."product",
    "t21"."item",
    "t25"."number"
  FROM (
    SELECT
      "t14".*
      EXCLUDE ("rank")
    FROM (
      SELECT
        *
      FROM (
        SELECT
          "t12"."analytic_id",
          "t12"."time",
          "t12"."received",
          "t12"."session",
          "t12"."kind",
          "t12"."place",
          "t12"."product",
          ROW_NUMBER() OVER (
            PARTITION BY "t12"."analytic_id", "t12"."session"
            ORDER BY "t12"."time" DESC, "t12"."received" DESC, "t12"."place" ASC, "t12"."product" ASC
            ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
          ) - 1 AS "rank"
        FROM (
          SELECT
            "t11"."analytic_id",
            "t11"."time",
            "t11"."received",
            "t11"."session",
            "t11"."kind",
            "t11"."place",
            "t11"."product"
          FROM (
            SELECT
              *
            FROM (
              SELECT
                "t1"."analytic_id",
                "t1"."time",
                "t1"."received",
                "t1"."session_start" AS "session",
                CASE
                  WHEN "t1"."event" = 'Product Viewed'
                  THEN 0
                  WHEN "t1"."event" = 'Product Added'
                  THEN 1
                  WHEN "t1"."event" = 'Product Added to Wishlist'
                  THEN 3
                  ELSE NULL
                END AS "kind",
                0 AS "place",
                LIST_EXTRACT("t1"."product_ids", 1) AS "product"
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
                AND "t1"."event" IN ('Product Added', 'Product Added to Wishlist', 'Product Viewed')
                AND ARRAY_LENGTH("t1"."product_ids") > 0
            ) AS "t3"
            UNION ALL
            SELECT
              *
            FROM (
              SELECT
                "t8"."analytic_id",
                "t8"."time",
                "t8"."received",
                "t8"."session",
                2 AS "kind",
                "t8"."place",
                "t8"."product"
              FROM (
                SELECT
                  "t7"."analytic_id",
                  "t7"."session",
                  "t7"."time",
                  "t7"."received",
                  "t7"."product",
                  MIN("t7"."place") AS "place"
                FROM (
                  SELECT
                    "t6"."analytic_id",
                    "t6"."time",
                    "t6"."received",
                    "t6"."visit" AS "session",
                    UNNEST(RANGE(0, ARRAY_LENGTH("t6"."products"), 1)) AS "place",
                    UNNEST("t6"."products") AS "product"
                  FROM (
                    SELECT
                      *
                    FROM (
                      SELECT
                        "t4"."order",
                        FIRST("t4"."analytic_id" ORDER BY {'time': "t4"."time", 'received': "t4"."received"}) FILTER(WHERE
                          "t4"."event" IN ('Order Completed', 'Order Updated')) AS "analytic_id",
                        FIRST("t4"."session_start" ORDER BY {'time': "t4"."time", 'received': "t4"."received"}) FILTER(WHERE
                          "t4"."event" IN ('Order Completed', 'Order Updated')) AS "visit",
                        COALESCE(
                          MIN("t4"."time") FILTER(WHERE
                            "t4"."event" = 'Order Completed'),
                          MIN("t4"."time") FILTER(WHERE
                            "t4"."event" IN ('Order Completed', 'Order Updated'))
                        ) AS "time",
                        MIN("t4"."received") FILTER(WHERE
                          "t4"."event" IN ('Order Completed', 'Order Updated')) AS "received",
                        FIRST(
                          "t4"."product_ids" ORDER BY {'time': "t4"."time", 'received': "t4"."received"} DESC
                        ) FILTER(WHERE
                          "t4"."event" IN ('Order Completed', 'Order Updated')
                          AND (
                            ARRAY_LENGTH("t4"."product_ids") > 0
                          )) AS "products",
                        BOOL_OR(CAST("t4"."event" IN ('Order Cancelled', 'Order Returned') AS BOOLEAN)) AS "undone"
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
                      ) AS "t4"
                      GROUP BY
                        1
                    ) AS "t5"
                    WHERE
                      NOT (
                        "t5"."undone"
                      )
                      AND "t5"."time" IS NOT NULL
                      AND "t5"."products" IS NOT NULL
                  ) AS "t6"
                ) AS "t7"
                GROUP BY
                  1,
                  2,
                  3,
                  4,
                  5
              ) AS "t8"
            ) AS "t9"
          ) AS "t11"
          ANTI JOIN "sensitive" AS "t2"
            ON "t11"."product" = "t2"."product"
        ) AS "t12"
      ) AS "t13"
      WHERE
        "t13"."rank" < 200
    ) AS "t14"
  ) AS "t16"
  INNER JOIN (
    SELECT
      "t19"."product",
      ROW_NUMBER() OVER (
        ORDER BY "t19"."product" ASC
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
      ) - 1 AS "item"
    FROM (
      SELECT
        *
      FROM (
        SELECT
          "t17"."product",
          COUNT(*) AS "shoppers"
        FROM (
          SELECT DISTINCT
            "t15"."product",
            "t15"."analytic_id"
          FROM (
            SELECT
              "t14".*
              EXCLUDE ("rank")
            FROM (
              SELECT
                *
              FROM (
                SELECT
                  "t12"."analytic_id",
                  "t12"."time",
                  "t12"."received",
                  "t12"."session",
                  "t12"."kind",
                  "t12"."place",
                  "t12"."product",
                  ROW_NUMBER() OVER (
                    PARTITION BY "t12"."analytic_id", "t12"."session"
                    ORDER BY "t12"."time" DESC, "t12"."received" DESC, "t12"."place" ASC, "t12"."product" ASC
                    ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                  ) - 1 AS "rank"
                FROM (
                  SELECT
                    "t11"."analytic_id",
                    "t11"."time",
                    "t11"."received",
                    "t11"."session",
                    "t11"."kind",
                    "t11"."place",
                    "t11"."product"
                  FROM (
                    SELECT
                      *
                    FROM (
                      SELECT
                        "t1"."analytic_id",
                        "t1"."time",
                        "t1"."received",
                        "t1"."session_start" AS "session",
                        CASE
                          WHEN "t1"."event" = 'Product Viewed'
                          THEN 0
                          WHEN "t1"."event" = 'Product Added'
                          THEN 1
                          WHEN "t1"."event" = 'Product Added to Wishlist'
                          THEN 3
                          ELSE NULL
                        END AS "kind",
                        0 AS "place",
                        LIST_EXTRACT("t1"."product_ids", 1) AS "product"
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
                        AND "t1"."event" IN ('Product Added', 'Product Added to Wishlist', 'Product Viewed')
                        AND ARRAY_LENGTH("t1"."product_ids") > 0
                    ) AS "t3"
                    UNION ALL
                    SELECT
                      *
                    FROM (
                      SELECT
                        "t8"."analytic_id",
                        "t8"."time",
                        "t8"."received",
                        "t8"."session",
                        2 AS "kind",
                        "t8"."place",
                        "t8"."product"
                      FROM (
                        SELECT
                          "t7"."analytic_id",
                          "t7"."session",
                          "t7"."time",
                          "t7"."received",
                          "t7"."product",
                          MIN("t7"."place") AS "place"
                        FROM (
                          SELECT
                            "t6"."analytic_id",
                            "t6"."time",
                            "t6"."received",
                            "t6"."visit" AS "session",
                            UNNEST(RANGE(0, ARRAY_LENGTH("t6"."products"), 1)) AS "place",
                            UNNEST("t6"."products") AS "product"
                          FROM (
                            SELECT
                              *
                            FROM (
                              SELECT
                                "t4"."order",
                                FIRST("t4"."analytic_id" ORDER BY {'time': "t4"."time", 'received': "t4"."received"}) FILTER(WHERE
                                  "t4"."event" IN ('Order Completed', 'Order Updated')) AS "analytic_id",
                                FIRST("t4"."session_start" ORDER BY {'time': "t4"."time", 'received': "t4"."received"}) FILTER(WHERE
                                  "t4"."event" IN ('Order Completed', 'Order Updated')) AS "visit",
                                COALESCE(
                                  MIN("t4"."time") FILTER(WHERE
                                    "t4"."event" = 'Order Completed'),
                                  MIN("t4"."time") FILTER(WHERE
                                    "t4"."event" IN ('Order Completed', 'Order Updated'))
                                ) AS "time",
                                MIN("t4"."received") FILTER(WHERE
                                  "t4"."event" IN ('Order Completed', 'Order Updated')) AS "received",
                                FIRST(
                                  "t4"."product_ids" ORDER BY {'time': "t4"."time", 'received': "t4"."received"} DESC
                                ) FILTER(WHERE
                                  "t4"."event" IN ('Order Completed', 'Order Updated')
                                  AND (
                                    ARRAY_LENGTH("t4"."product_ids") > 0
                                  )) AS "products",
                                BOOL_OR(CAST("t4"."event" IN ('Order Cancelled', 'Order Returned') AS BOOLEAN)) AS "undone"
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
                              ) AS "t4"
                              GROUP BY
                                1
                            ) AS "t5"
                            WHERE
                              NOT (
                                "t5"."undone"
                              )
                              AND "t5"."time" IS NOT NULL
                              AND "t5"."products" IS NOT NULL
                          ) AS "t6"
                        ) AS "t7"
                        GROUP BY
                          1,
                          2,
                          3,
                          4,
                          5
                      ) AS "t8"
                    ) AS "t9"
                  ) AS "t11"
                  ANTI JOIN "sensitive" AS "t2"
                    ON "t11"."product" = "t2"."product"
                ) AS "t12"
              ) AS "t13"
              WHERE
                "t13"."rank" < 200
            ) AS "t14"
          ) AS "t15"
        ) AS "t17"
        GROUP BY
          1
      ) AS "t18"
      WHERE
        "t18"."shoppers" >= 3
    ) AS "t19"
  ) AS "t21"
    ON "t16"."product" = "t21"."product"
  INNER JOIN (
    SELECT
      "t23"."analytic_id",
      "t23"."session",
      ROW_NUMBER() OVER (
        ORDER BY "t23"."last" ASC, "t23"."first" ASC, "t23"."analytic_id" ASC, "t23"."session" ASC
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
      ) - 1 AS "number"
    FROM (
      SELECT
        "t22"."analytic_id",
        "t22"."session",
        MIN("t22"."time") AS "first",
        MAX("t22"."time") AS "last"
      FROM (
        SELECT
          "t16"."analytic_id",
          "t16"."time",
          "t16"."received",
          "t16"."session",
          "t16"."kind",
          "t16"."place",
          "t16"."product"
        FROM (
          SELECT
            "t14".*
            EXCLUDE ("rank")
          FROM (
            SELECT
              *
            FROM (
              SELECT
                "t12"."analytic_id",
                "t12"."time",
                "t12"."received",
                "t12"."session",
                "t12"."kind",
                "t12"."place",
                "t12"."product",
                ROW_NUMBER() OVER (
                  PARTITION BY "t12"."analytic_id", "t12"."session"
                  ORDER BY "t12"."time" DESC, "t12"."received" DESC, "t12"."place" ASC, "t12"."product" ASC
                  ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                ) - 1 AS "rank"
              FROM (
                SELECT
                  "t11"."analytic_id",
                  "t11"."time",
                  "t11"."received",
                  "t11"."session",
                  "t11"."kind",
                  "t11"."place",
                  "t11"."product"
                FROM (
                  SELECT
                    *
                  FROM (
                    SELECT
                      "t1"."analytic_id",
                      "t1"."time",
                      "t1"."received",
                      "t1"."session_start" AS "session",
                      CASE
                        WHEN "t1"."event" = 'Product Viewed'
                        THEN 0
                        WHEN "t1"."event" = 'Product Added'
                        THEN 1
                        WHEN "t1"."event" = 'Product Added to Wishlist'
                        THEN 3
                        ELSE NULL
                      END AS "kind",
                      0 AS "place",
                      LIST_EXTRACT("t1"."product_ids", 1) AS "product"
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
                      AND "t1"."event" IN ('Product Added', 'Product Added to Wishlist', 'Product Viewed')
                      AND ARRAY_LENGTH("t1"."product_ids") > 0
                  ) AS "t3"
                  UNION ALL
                  SELECT
                    *
                  FROM (
                    SELECT
                      "t8"."analytic_id",
                      "t8"."time",
                      "t8"."received",
                      "t8"."session",
                      2 AS "kind",
                      "t8"."place",
                      "t8"."product"
                    FROM (
                      SELECT
                        "t7"."analytic_id",
                        "t7"."session",
                        "t7"."time",
                        "t7"."received",
                        "t7"."product",
                        MIN("t7"."place") AS "place"
                      FROM (
                        SELECT
                          "t6"."analytic_id",
                          "t6"."time",
                          "t6"."received",
                          "t6"."visit" AS "session",
                          UNNEST(RANGE(0, ARRAY_LENGTH("t6"."products"), 1)) AS "place",
                          UNNEST("t6"."products") AS "product"
                        FROM (
                          SELECT
                            *
                          FROM (
                            SELECT
                              "t4"."order",
                              FIRST("t4"."analytic_id" ORDER BY {'time': "t4"."time", 'received': "t4"."received"}) FILTER(WHERE
                                "t4"."event" IN ('Order Completed', 'Order Updated')) AS "analytic_id",
                              FIRST("t4"."session_start" ORDER BY {'time': "t4"."time", 'received': "t4"."received"}) FILTER(WHERE
                                "t4"."event" IN ('Order Completed', 'Order Updated')) AS "visit",
                              COALESCE(
                                MIN("t4"."time") FILTER(WHERE
                                  "t4"."event" = 'Order Completed'),
                                MIN("t4"."time") FILTER(WHERE
                                  "t4"."event" IN ('Order Completed', 'Order Updated'))
                              ) AS "time",
                              MIN("t4"."received") FILTER(WHERE
                                "t4"."event" IN ('Order Completed', 'Order Updated')) AS "received",
                              FIRST(
                                "t4"."product_ids" ORDER BY {'time': "t4"."time", 'received': "t4"."received"} DESC
                              ) FILTER(WHERE
                                "t4"."event" IN ('Order Completed', 'Order Updated')
                                AND (
                                  ARRAY_LENGTH("t4"."product_ids") > 0
                                )) AS "products",
                              BOOL_OR(CAST("t4"."event" IN ('Order Cancelled', 'Order Returned') AS BOOLEAN)) AS "undone"
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
                            ) AS "t4"
                            GROUP BY
                              1
                          ) AS "t5"
                          WHERE
                            NOT (
                              "t5"."undone"
                            )
                            AND "t5"."time" IS NOT NULL
                            AND "t5"."products" IS NOT NULL
                        ) AS "t6"
                      ) AS "t7"
                      GROUP BY
                        1,
                        2,
                        3,
                        4,
                        5
                    ) AS "t8"
                  ) AS "t9"
                ) AS "t11"
                ANTI JOIN "sensitive" AS "t2"
                  ON "t11"."product" = "t2"."product"
              ) AS "t12"
            ) AS "t13"
            WHERE
              "t13"."rank" < 200
          ) AS "t14"
        ) AS "t16"
        SEMI JOIN (
          SELECT
            "t19"."product",
            ROW_NUMBER() OVER (
              ORDER BY "t19"."product" ASC
              ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
            ) - 1 AS "item"
          FROM (
            SELECT
              *
            FROM (
              SELECT
                "t17"."product",
                COUNT(*) AS "shoppers"
              FROM (
                SELECT DISTINCT
                  "t15"."product",
                  "t15"."analytic_id"
                FROM (
                  SELECT
                    "t14".*
                    EXCLUDE ("rank")
                  FROM (
                    SELECT
                      *
                    FROM (
                      SELECT
                        "t12"."analytic_id",
                        "t12"."time",
                        "t12"."received",
                        "t12"."session",
                        "t12"."kind",
                        "t12"."place",
                        "t12"."product",
                        ROW_NUMBER() OVER (
                          PARTITION BY "t12"."analytic_id", "t12"."session"
                          ORDER BY "t12"."time" DESC, "t12"."received" DESC, "t12"."place" ASC, "t12"."product" ASC
                          ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
                        ) - 1 AS "rank"
                      FROM (
                        SELECT
                          "t11"."analytic_id",
                          "t11"."time",
                          "t11"."received",
                          "t11"."session",
                          "t11"."kind",
                          "t11"."place",
                          "t11"."product"
                        FROM (
                          SELECT
                            *
                          FROM (
                            SELECT
                              "t1"."analytic_id",
                              "t1"."time",
                              "t1"."received",
                              "t1"."session_start" AS "session",
                              CASE
                                WHEN "t1"."event" = 'Product Viewed'
                                THEN 0
                                WHEN "t1"."event" = 'Product Added'
                                THEN 1
                                WHEN "t1"."event" = 'Product Added to Wishlist'
                                THEN 3
                                ELSE NULL
                              END AS "kind",
                              0 AS "place",
                              LIST_EXTRACT("t1"."product_ids", 1) AS "product"
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
                              AND "t1"."event" IN ('Product Added', 'Product Added to Wishlist', 'Product Viewed')
                              AND ARRAY_LENGTH("t1"."product_ids") > 0
                          ) AS "t3"
                          UNION ALL
                          SELECT
                            *
                          FROM (
                            SELECT
                              "t8"."analytic_id",
                              "t8"."time",
                              "t8"."received",
                              "t8"."session",
                              2 AS "kind",
                              "t8"."place",
                              "t8"."product"
                            FROM (
                              SELECT
                                "t7"."analytic_id",
                                "t7"."session",
                                "t7"."time",
                                "t7"."received",
                                "t7"."product",
                                MIN("t7"."place") AS "place"
                              FROM (
                                SELECT
                                  "t6"."analytic_id",
                                  "t6"."time",
                                  "t6"."received",
                                  "t6"."visit" AS "session",
                                  UNNEST(RANGE(0, ARRAY_LENGTH("t6"."products"), 1)) AS "place",
                                  UNNEST("t6"."products") AS "product"
                                FROM (
                                  SELECT
                                    *
                                  FROM (
                                    SELECT
                                      "t4"."order",
                                      FIRST("t4"."analytic_id" ORDER BY {'time': "t4"."time", 'received': "t4"."received"}) FILTER(WHERE
                                        "t4"."event" IN ('Order Completed', 'Order Updated')) AS "analytic_id",
                                      FIRST("t4"."session_start" ORDER BY {'time': "t4"."time", 'received': "t4"."received"}) FILTER(WHERE
                                        "t4"."event" IN ('Order Completed', 'Order Updated')) AS "visit",
                                      COALESCE(
                                        MIN("t4"."time") FILTER(WHERE
                                          "t4"."event" = 'Order Completed'),
                                        MIN("t4"."time") FILTER(WHERE
                                          "t4"."event" IN ('Order Completed', 'Order Updated'))
                                      ) AS "time",
                                      MIN("t4"."received") FILTER(WHERE
                                        "t4"."event" IN ('Order Completed', 'Order Updated')) AS "received",
                                      FIRST(
                                        "t4"."product_ids" ORDER BY {'time': "t4"."time", 'received': "t4"."received"} DESC
                                      ) FILTER(WHERE
                                        "t4"."event" IN ('Order Completed', 'Order Updated')
                                        AND (
                                          ARRAY_LENGTH("t4"."product_ids") > 0
                                        )) AS "products",
                                      BOOL_OR(CAST("t4"."event" IN ('Order Cancelled', 'Order Returned') AS BOOLEAN)) AS "undone"
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
                                    ) AS "t4"
                                    GROUP BY
                                      1
                                  ) AS "t5"
                                  WHERE
                                    NOT (
                                      "t5"."undone"
                                    )
                                    AND "t5"."time" IS NOT NULL
                                    AND "t5"."products" IS NOT NULL
                                ) AS "t6"
                              ) AS "t7"
                              GROUP BY
                                1,
                                2,
                                3,
                                4,
                                5
                            ) AS "t8"
                          ) AS "t9"
                        ) AS "t11"
                        ANTI JOIN "sensitive" AS "t2"
                          ON "t11"."product" = "t2"."product"
                      ) AS "t12"
                    ) AS "t13"
                    WHERE
                      "t13"."rank" < 200
                  ) AS "t14"
                ) AS "t15"
              ) AS "t17"
              GROUP BY
                1
            ) AS "t18"
            WHERE
              "t18"."shoppers" >= 3
          ) AS "t19"
        ) AS "t21"
          ON "t16"."product" = "t21"."product"
      ) AS "t22"
      GROUP BY
        1,
        2
    ) AS "t23"
  ) AS "t25"
    ON "t16"."analytic_id" = "t25"."analytic_id" AND "t16"."session" = "t25"."session"
) AS "t26"
ORDER BY
  "t26"."number" ASC,
  "t26"."time" ASC,
  "t26"."received" ASC,
  "t26"."kind" ASC,
  "t26"."place" ASC,
  "t26"."product" ASC
