WITH "t5" AS (
  SELECT
    "t0"."order",
    "t0"."time",
    "t0"."received",
    "t0"."event",
    "t0"."amount",
    "t0"."cost",
    "t0"."currency",
    "t0"."shipping",
    "t0"."subtotal",
    "t0"."tax",
    "t0"."analytic_id" AS "unit",
    LIST_SUM(
      LIST_APPLY(
        CASE
          WHEN "t0"."prices" IS NULL OR "t0"."quantities" IS NULL
          THEN NULL
          ELSE LIST_APPLY(
            RANGE(1, GREATEST(LENGTH("t0"."prices"), LENGTH("t0"."quantities")) + 1),
            LAMBDA i : {'f1': "t0"."prices"[i], 'f2': "t0"."quantities"[i]}
          )
        END,
        LAMBDA __ibis_param_line__ : COALESCE((
          __ibis_param_line__
        )."f1", 0) * (
          __ibis_param_line__
        )."f2"
      )
    ) AS "goods"
  FROM "facts" AS "t0"
  WHERE
    "t0"."store" = 'acme'
    AND "t0"."environment" = 'live'
    AND "t0"."event" IN (
      'Order Cancelled',
      'Order Completed',
      'Order Refunded',
      'Order Returned',
      'Order Updated'
    )
    AND "t0"."trusted"
    AND "t0"."flags" = 0
    AND "t0"."order" IS NOT NULL
    AND "t0"."time" <= 1729036800000
), "t12" AS (
  SELECT
    "t8"."unit",
    MIN("t8"."time") AS "exposed",
    FIRST(
      {'arm': "t8"."arm", 'outcome': "t8"."outcome", 'device': "t8"."device", 'country': "t8"."country", 'browser': "t8"."browser", 'level': "t8"."level", 'placement': "t8"."placement", 'playbook': "t8"."playbook", 'mask': "t8"."mask", 'segments': "t8"."segments", 'propensity': "t8"."propensity"} ORDER BY {'time': "t8"."time", 'decision': COALESCE("t8"."decision", '')}
    ) AS "first",
    MIN("t8"."arm") <> MAX("t8"."arm") AS "tainted"
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
      "t0"."propensity",
      "t0"."analytic_id" AS "unit",
      "t0"."variation" AS "arm"
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
      AND "t0"."experiment" = 'salt'
      AND "t0"."outcome" <> 'holdout'
      AND "t0"."variation" IN ('control', 'b')
      AND "t0"."flags" = 0
      AND "t0"."analytic_id" IS NOT NULL
  ) AS "t8"
  GROUP BY
    1
), "t14" AS (
  SELECT
    "t13"."unit",
    "t13"."exposed"
  FROM "t12" AS "t13"
)
SELECT
  "t53"."unit",
  "t53"."exposed",
  "t53"."tainted",
  "t53"."arm",
  "t53"."device",
  "t53"."country",
  "t53"."browser",
  "t53"."level",
  "t53"."placement",
  "t53"."playbook",
  "t53"."mask",
  "t53"."segments",
  "t53"."propensity",
  "t53"."ghost",
  "t53"."epoch",
  "t53"."cart_before",
  "t53"."events_before",
  "t53"."spent_before",
  "t53"."mobile",
  "t53"."step_drop_off_0_facts" AS "step_drop_off_0",
  LIST_MIN(
    LIST_FILTER(
      "t53"."step_drop_off_1_facts",
      LAMBDA __ibis_param_time__ : __ibis_param_time__ >= "t53"."step_drop_off_0_facts"
    )
  ) AS "step_drop_off_1",
  LIST_MIN(
    LIST_FILTER(
      "t53"."step_drop_off_2_orders",
      LAMBDA __ibis_param_time__ : __ibis_param_time__ >= LIST_MIN(
        LIST_FILTER(
          "t53"."step_drop_off_1_facts",
          LAMBDA __ibis_param_time__ : __ibis_param_time__ >= "t53"."step_drop_off_0_facts"
        )
      )
    )
  ) AS "step_drop_off_2",
  COALESCE("t53"."active_facts", 0) AS "active",
  0 + COALESCE("t53"."of_profit_orders", 0) AS "of_profit",
  CAST(CASE WHEN (
    0 + COALESCE("t53"."of_conversion_orders", 0)
  ) > 0 THEN 1 ELSE 0 END AS DOUBLE) AS "of_conversion",
  CAST(CASE
    WHEN COALESCE("t53"."of_abandonment_not_facts", FALSE)
    THEN 0
    ELSE CASE WHEN (
      0 + COALESCE("t53"."of_abandonment_facts", 0)
    ) > 0 THEN 1 ELSE 0 END
  END AS DOUBLE) AS "of_abandonment"
FROM (
  SELECT
    "t52".*
    EXCLUDE ("unit_right")
  FROM (
    SELECT
      "t51"."unit",
      "t51"."exposed",
      "t51"."tainted",
      "t51"."arm",
      "t51"."device",
      "t51"."country",
      "t51"."browser",
      "t51"."level",
      "t51"."placement",
      "t51"."playbook",
      "t51"."mask",
      "t51"."segments",
      "t51"."propensity",
      "t51"."ghost",
      "t51"."epoch",
      "t51"."cart_before",
      "t51"."events_before",
      "t51"."spent_before",
      "t51"."mobile",
      "t51"."of_abandonment_facts",
      "t51"."of_abandonment_not_facts",
      "t51"."step_drop_off_0_facts",
      "t51"."step_drop_off_1_facts",
      "t51"."active_facts",
      "t44"."unit" AS "unit_right",
      "t44"."of_profit_orders",
      "t44"."of_conversion_orders",
      "t44"."step_drop_off_2_orders"
    FROM (
      SELECT
        "t49".*
        EXCLUDE ("unit_right")
      FROM (
        SELECT
          "t48"."unit",
          "t48"."exposed",
          "t48"."tainted",
          "t48"."arm",
          "t48"."device",
          "t48"."country",
          "t48"."browser",
          "t48"."level",
          "t48"."placement",
          "t48"."playbook",
          "t48"."mask",
          "t48"."segments",
          "t48"."propensity",
          "t48"."ghost",
          "t48"."epoch",
          "t48"."cart_before",
          "t48"."events_before",
          "t48"."spent_before",
          "t48"."mobile",
          "t28"."unit" AS "unit_right",
          "t28"."of_abandonment_facts",
          "t28"."of_abandonment_not_facts",
          "t28"."step_drop_off_0_facts",
          "t28"."step_drop_off_1_facts",
          "t28"."active_facts"
        FROM (
          SELECT
            "t46"."unit",
            "t46"."exposed",
            "t46"."tainted",
            "t46"."arm",
            "t46"."device",
            "t46"."country",
            "t46"."browser",
            "t46"."level",
            "t46"."placement",
            "t46"."playbook",
            "t46"."mask",
            "t46"."segments",
            "t46"."propensity",
            "t46"."ghost",
            "t46"."epoch",
            COALESCE("t46"."cart_before_known", 0) AS "cart_before",
            CAST(COALESCE("t46"."events_before_known", 0) AS DOUBLE) AS "events_before",
            COALESCE("t46"."spent_before_known", 0) AS "spent_before",
            CAST(COALESCE(CAST("t46"."device" = 'mobile' AS BIGINT), 0) AS DOUBLE) AS "mobile"
          FROM (
            SELECT
              "t45".*
              EXCLUDE ("unit_right")
            FROM (
              SELECT
                "t34"."unit",
                "t34"."exposed",
                "t34"."tainted",
                "t34"."arm",
                "t34"."device",
                "t34"."country",
                "t34"."browser",
                "t34"."level",
                "t34"."placement",
                "t34"."playbook",
                "t34"."mask",
                "t34"."segments",
                "t34"."propensity",
                "t34"."ghost",
                "t34"."epoch",
                "t34"."events_before_known",
                "t34"."cart_before_known",
                "t42"."unit" AS "unit_right",
                "t42"."spent_before_known"
              FROM (
                SELECT
                  "t32".*
                  EXCLUDE ("unit_right")
                FROM (
                  SELECT
                    "t22"."unit",
                    "t22"."exposed",
                    "t22"."tainted",
                    "t22"."arm",
                    "t22"."device",
                    "t22"."country",
                    "t22"."browser",
                    "t22"."level",
                    "t22"."placement",
                    "t22"."playbook",
                    "t22"."mask",
                    "t22"."segments",
                    "t22"."propensity",
                    "t22"."ghost",
                    "t22"."epoch",
                    "t31"."unit" AS "unit_right",
                    "t31"."events_before_known",
                    "t31"."cart_before_known"
                  FROM (
                    SELECT
                      "t13"."unit",
                      "t13"."exposed",
                      "t13"."tainted",
                      "t13"."first"."arm" AS "arm",
                      "t13"."first"."device" AS "device",
                      "t13"."first"."country" AS "country",
                      "t13"."first"."browser" AS "browser",
                      "t13"."first"."level" AS "level",
                      "t13"."first"."placement" AS "placement",
                      "t13"."first"."playbook" AS "playbook",
                      "t13"."first"."mask" AS "mask",
                      "t13"."first"."segments" AS "segments",
                      "t13"."first"."propensity" AS "propensity",
                      CASE
                        WHEN "t13"."first"."outcome" IN ('shown', 'control', 'holdout')
                        THEN CAST(NULL AS TEXT)
                        ELSE "t13"."first"."outcome"
                      END AS "ghost",
                      (
                        CAST(CASE COALESCE("t13"."first"."playbook", '') WHEN 'r2' THEN 1 ELSE 0 END AS BIGINT) * 2
                      ) + CAST("t13"."exposed" >= 1728172800000 AS BIGINT) AS "epoch"
                    FROM "t12" AS "t13"
                  ) AS "t22"
                  LEFT OUTER JOIN (
                    SELECT
                      "t25"."unit",
                      COUNT(*) FILTER(WHERE
                        "t25"."age" < 0) AS "events_before_known",
                      FIRST(
                        CAST("t25"."amount" AS DOUBLE) * CASE
                          WHEN (
                            "t25"."currency" IS NULL
                          ) OR (
                            "t25"."currency" = 'EUR'
                          )
                          THEN 1.0
                          WHEN (
                            "t25"."currency" = 'JPY'
                          ) AND (
                            "t25"."time" >= 1728000000000
                          )
                          THEN 0.6
                          WHEN (
                            "t25"."currency" = 'USD'
                          ) AND (
                            "t25"."time" >= 1728086400000
                          )
                          THEN 0.95
                          WHEN (
                            "t25"."currency" = 'USD'
                          ) AND (
                            "t25"."time" >= 1725408000000
                          )
                          THEN 0.9
                          ELSE NULL
                        END ORDER BY "t25"."time" DESC
                      ) FILTER(WHERE
                        "t25"."event" IN ('Cart Viewed', 'Checkout Started')
                        AND (
                          (
                            CAST("t25"."amount" AS DOUBLE) * CASE
                              WHEN (
                                "t25"."currency" IS NULL
                              ) OR (
                                "t25"."currency" = 'EUR'
                              )
                              THEN 1.0
                              WHEN (
                                "t25"."currency" = 'JPY'
                              ) AND (
                                "t25"."time" >= 1728000000000
                              )
                              THEN 0.6
                              WHEN (
                                "t25"."currency" = 'USD'
                              ) AND (
                                "t25"."time" >= 1728086400000
                              )
                              THEN 0.95
                              WHEN (
                                "t25"."currency" = 'USD'
                              ) AND (
                                "t25"."time" >= 1725408000000
                              )
                              THEN 0.9
                              ELSE NULL
                            END
                          ) IS NOT NULL
                        )) AS "cart_before_known"
                    FROM (
                      SELECT
                        "t19"."amount",
                        "t19"."currency",
                        "t19"."event",
                        "t19"."time",
                        "t19"."unit",
                        "t19"."exposed",
                        "t19"."time" - "t19"."exposed" AS "age"
                      FROM (
                        SELECT
                          "t4"."amount",
                          "t4"."currency",
                          "t4"."event",
                          "t4"."time",
                          "t4"."unit",
                          "t16"."exposed"
                        FROM (
                          SELECT
                            "t0"."amount",
                            "t0"."currency",
                            "t0"."event",
                            "t0"."time",
                            "t0"."analytic_id" AS "unit"
                          FROM "facts" AS "t0"
                          WHERE
                            "t0"."store" = 'acme'
                            AND "t0"."environment" = 'live'
                            AND "t0"."flags" = 0
                            AND "t0"."time" <= 1729036800000
                        ) AS "t4"
                        INNER JOIN "t14" AS "t16"
                          ON "t4"."unit" = "t16"."unit"
                      ) AS "t19"
                      WHERE
                        (
                          "t19"."time" - "t19"."exposed"
                        ) <= 0
                        AND (
                          "t19"."time" - "t19"."exposed"
                        ) >= -1209600000
                    ) AS "t25"
                    GROUP BY
                      1
                  ) AS "t31"
                    ON "t22"."unit" = "t31"."unit"
                ) AS "t32"
              ) AS "t34"
              LEFT OUTER JOIN (
                SELECT
                  "t40"."unit",
                  SUM("t40"."net") AS "spent_before_known"
                FROM (
                  SELECT
                    *
                  FROM (
                    SELECT
                      "t38".*
                      EXCLUDE ("paid")
                    FROM (
                      SELECT
                        "t37"."unit",
                        "t37"."exposed",
                        "t37"."horizon",
                        "t37"."order",
                        "t37"."time",
                        "t37"."reports",
                        "t37"."undone",
                        "t37"."refunds",
                        "t37"."goods",
                        CAST("t37"."amount" AS DOUBLE) * "t37"."factor" AS "amount",
                        "t37"."cost",
                        "t37"."currency",
                        CAST("t37"."shipping" AS DOUBLE) * "t37"."factor" AS "shipping",
                        CAST("t37"."subtotal" AS DOUBLE) * "t37"."factor" AS "subtotal",
                        CAST("t37"."tax" AS DOUBLE) * "t37"."factor" AS "tax",
                        "t37"."paid",
                        "t37"."back",
                        "t37"."factor",
                        'Order Completed' AS "event",
                        TRUE AS "trusted",
                        NOT (
                          "t37"."undone"
                        )
                        AND NOT (
                          (
                            "t37"."refunds" > 0
                          ) AND (
                            "t37"."back" >= "t37"."amount"
                          )
                        )
                        AND (
                          "t37"."factor" IS NOT NULL
                        ) AS "stands",
                        CAST("t37"."subtotal" - LEAST("t37"."back", GREATEST(0, "t37"."subtotal")) AS DOUBLE) * "t37"."factor" AS "net",
                        (
                          CAST("t37"."subtotal" - LEAST("t37"."back", GREATEST(0, "t37"."subtotal")) AS DOUBLE) * "t37"."factor"
                        ) - COALESCE("t37"."cost", 0) AS "profit",
                        "t37"."time" - "t37"."exposed" AS "age"
                      FROM (
                        SELECT
                          "t36"."unit",
                          "t36"."exposed",
                          "t36"."horizon",
                          "t36"."order",
                          "t36"."time",
                          "t36"."reports",
                          "t36"."undone",
                          "t36"."refunds",
                          "t36"."goods",
                          "t36"."amount",
                          "t36"."cost",
                          "t36"."currency",
                          "t36"."shipping",
                          "t36"."subtotal",
                          "t36"."tax",
                          "t36"."paid",
                          CASE
                            WHEN ARRAY_LENGTH(
                              LIST_FILTER(
                                LIST_FILTER(
                                  "t36"."paid",
                                  LAMBDA __ibis_param_refund__ : (
                                    (
                                      (
                                        __ibis_param_refund__
                                      )."currency"
                                    ) IS NULL
                                  )
                                  OR (
                                    "t36"."currency" IS NULL
                                  )
                                  OR (
                                    (
                                      __ibis_param_refund__
                                    )."currency" = "t36"."currency"
                                  )
                                ),
                                LAMBDA __ibis_param_refund__ : (
                                  (
                                    __ibis_param_refund__
                                  )."amount"
                                ) IS NULL
                              )
                            ) > 0
                            THEN "t36"."amount"
                            ELSE GREATEST(
                              0,
                              LEAST(
                                COALESCE(
                                  LIST_SUM(
                                    LIST_APPLY(
                                      LIST_FILTER(
                                        "t36"."paid",
                                        LAMBDA __ibis_param_refund__ : (
                                          (
                                            (
                                              __ibis_param_refund__
                                            )."currency"
                                          ) IS NULL
                                        )
                                        OR (
                                          "t36"."currency" IS NULL
                                        )
                                        OR (
                                          (
                                            __ibis_param_refund__
                                          )."currency" = "t36"."currency"
                                        )
                                      ),
                                      LAMBDA __ibis_param_refund__ : (
                                        __ibis_param_refund__
                                      )."amount"
                                    )
                                  ),
                                  0
                                ),
                                "t36"."amount"
                              )
                            )
                          END AS "back",
                          CASE
                            WHEN (
                              "t36"."currency" IS NULL
                            ) OR (
                              "t36"."currency" = 'EUR'
                            )
                            THEN 1.0
                            WHEN (
                              "t36"."currency" = 'JPY'
                            ) AND (
                              "t36"."time" >= 1728000000000
                            )
                            THEN 0.6
                            WHEN (
                              "t36"."currency" = 'USD'
                            ) AND (
                              "t36"."time" >= 1728086400000
                            )
                            THEN 0.95
                            WHEN (
                              "t36"."currency" = 'USD'
                            ) AND (
                              "t36"."time" >= 1725408000000
                            )
                            THEN 0.9
                            ELSE NULL
                          END AS "factor"
                        FROM (
                          SELECT
                            "t35"."unit",
                            "t35"."exposed",
                            "t35"."horizon",
                            "t35"."order",
                            "t35"."time",
                            "t35"."reports",
                            "t35"."undone",
                            "t35"."refunds",
                            "t35"."goods",
                            COALESCE(
                              "t35"."amount",
                              "t35"."subtotal" + (
                                COALESCE("t35"."shipping", 0) + COALESCE("t35"."tax", 0)
                              )
                            ) AS "amount",
                            "t35"."cost",
                            "t35"."currency",
                            "t35"."shipping",
                            "t35"."subtotal",
                            "t35"."tax",
                            "t35"."paid"
                          FROM (
                            SELECT
                              "t29"."unit",
                              "t29"."exposed",
                              "t29"."horizon",
                              "t29"."order",
                              "t29"."time",
                              "t29"."reports",
                              "t29"."undone",
                              "t29"."refunds",
                              "t29"."goods",
                              "t29"."amount",
                              "t29"."cost",
                              "t29"."currency",
                              "t29"."shipping",
                              COALESCE(
                                "t29"."subtotal",
                                CASE
                                  WHEN "t29"."amount" IS NULL
                                  THEN COALESCE("t29"."goods", 0)
                                  ELSE GREATEST(0, "t29"."amount" - (
                                    COALESCE("t29"."shipping", 0) + COALESCE("t29"."tax", 0)
                                  ))
                                END
                              ) AS "subtotal",
                              "t29"."tax",
                              "t29"."paid"
                            FROM (
                              SELECT
                                "t26"."unit",
                                "t26"."exposed",
                                "t26"."horizon",
                                "t26"."order",
                                COALESCE(
                                  MIN("t26"."time") FILTER(WHERE
                                    "t26"."event" = 'Order Completed'),
                                  MIN("t26"."time") FILTER(WHERE
                                    "t26"."event" IN ('Order Completed', 'Order Updated'))
                                ) AS "time",
                                SUM(CAST("t26"."event" = 'Order Completed' AS INT)) AS "reports",
                                BOOL_OR(CAST("t26"."event" IN ('Order Cancelled', 'Order Returned') AS BOOLEAN)) AS "undone",
                                SUM(CAST("t26"."event" = 'Order Refunded' AS INT)) AS "refunds",
                                FIRST("t26"."goods" ORDER BY {'time': "t26"."time", 'received': "t26"."received"} DESC) FILTER(WHERE
                                  "t26"."event" IN ('Order Completed', 'Order Updated')
                                  AND (
                                    "t26"."goods" IS NOT NULL
                                  )) AS "goods",
                                FIRST(
                                  "t26"."amount" ORDER BY {'time': "t26"."time", 'received': "t26"."received"} DESC
                                ) FILTER(WHERE
                                  "t26"."event" IN ('Order Completed', 'Order Updated')
                                  AND (
                                    "t26"."amount" IS NOT NULL
                                  )) AS "amount",
                                FIRST("t26"."cost" ORDER BY {'time': "t26"."time", 'received': "t26"."received"} DESC) FILTER(WHERE
                                  "t26"."event" IN ('Order Completed', 'Order Updated')
                                  AND (
                                    "t26"."cost" IS NOT NULL
                                  )) AS "cost",
                                FIRST(
                                  "t26"."currency" ORDER BY {'time': "t26"."time", 'received': "t26"."received"} DESC
                                ) FILTER(WHERE
                                  "t26"."event" IN ('Order Completed', 'Order Updated')
                                  AND (
                                    "t26"."currency" IS NOT NULL
                                  )) AS "currency",
                                FIRST(
                                  "t26"."shipping" ORDER BY {'time': "t26"."time", 'received': "t26"."received"} DESC
                                ) FILTER(WHERE
                                  "t26"."event" IN ('Order Completed', 'Order Updated')
                                  AND (
                                    "t26"."shipping" IS NOT NULL
                                  )) AS "shipping",
                                FIRST(
                                  "t26"."subtotal" ORDER BY {'time': "t26"."time", 'received': "t26"."received"} DESC
                                ) FILTER(WHERE
                                  "t26"."event" IN ('Order Completed', 'Order Updated')
                                  AND (
                                    "t26"."subtotal" IS NOT NULL
                                  )) AS "subtotal",
                                FIRST("t26"."tax" ORDER BY {'time': "t26"."time", 'received': "t26"."received"} DESC) FILTER(WHERE
                                  "t26"."event" IN ('Order Completed', 'Order Updated')
                                  AND (
                                    "t26"."tax" IS NOT NULL
                                  )) AS "tax",
                                ARRAY_AGG(
                                  {'amount': CASE
                                    WHEN "t26"."amount" >= 0
                                    THEN "t26"."amount"
                                    WHEN "t26"."goods" > 0
                                    THEN "t26"."goods"
                                    ELSE NULL
                                  END, 'currency': "t26"."currency"}
                                ) FILTER(WHERE
                                  {'amount': CASE
                                    WHEN "t26"."amount" >= 0
                                    THEN "t26"."amount"
                                    WHEN "t26"."goods" > 0
                                    THEN "t26"."goods"
                                    ELSE NULL
                                  END, 'currency': "t26"."currency"} IS NOT NULL
                                  AND "t26"."event" = 'Order Refunded') AS "paid"
                              FROM (
                                SELECT
                                  *
                                FROM (
                                  SELECT
                                    "t20"."order",
                                    "t20"."time",
                                    "t20"."received",
                                    "t20"."event",
                                    "t20"."amount",
                                    "t20"."cost",
                                    "t20"."currency",
                                    "t20"."shipping",
                                    "t20"."subtotal",
                                    "t20"."tax",
                                    "t20"."goods",
                                    "t20"."owner",
                                    "t20"."unit",
                                    "t20"."exposed",
                                    UNNEST(CAST([0, 432000000] AS INT[])) AS "horizon"
                                  FROM (
                                    SELECT
                                      "t9"."order",
                                      "t9"."time",
                                      "t9"."received",
                                      "t9"."event",
                                      "t9"."amount",
                                      "t9"."cost",
                                      "t9"."currency",
                                      "t9"."shipping",
                                      "t9"."subtotal",
                                      "t9"."tax",
                                      "t9"."goods",
                                      "t11"."owner",
                                      "t17"."unit",
                                      "t17"."exposed"
                                    FROM (
                                      SELECT
                                        "t6".*
                                        EXCLUDE ("unit")
                                      FROM "t5" AS "t6"
                                    ) AS "t9"
                                    INNER JOIN (
                                      SELECT
                                        "t6"."order",
                                        FIRST("t6"."unit" ORDER BY {'time': "t6"."time", 'received': "t6"."received"}) FILTER(WHERE
                                          "t6"."event" IN ('Order Completed', 'Order Updated')
                                          AND (
                                            "t6"."unit" IS NOT NULL
                                          )) AS "owner"
                                      FROM "t5" AS "t6"
                                      GROUP BY
                                        1
                                    ) AS "t11"
                                      ON "t9"."order" = "t11"."order"
                                    INNER JOIN "t14" AS "t17"
                                      ON "t11"."owner" = "t17"."unit"
                                  ) AS "t20"
                                ) AS "t23"
                                WHERE
                                  "t23"."time" <= (
                                    "t23"."exposed" + "t23"."horizon"
                                  )
                              ) AS "t26"
                              GROUP BY
                                1,
                                2,
                                3,
                                4
                            ) AS "t29"
                            WHERE
                              "t29"."time" IS NOT NULL
                          ) AS "t35"
                        ) AS "t36"
                      ) AS "t37"
                    ) AS "t38"
                  ) AS "t39"
                  WHERE
                    "t39"."horizon" = 0
                    AND "t39"."stands"
                    AND "t39"."age" < 0
                    AND "t39"."age" >= -1209600000
                ) AS "t40"
                GROUP BY
                  1
              ) AS "t42"
                ON "t34"."unit" = "t42"."unit"
            ) AS "t45"
          ) AS "t46"
        ) AS "t48"
        LEFT OUTER JOIN (
          SELECT
            "t24"."unit",
            COUNT(*) FILTER(WHERE
              "t24"."event" IN ('Checkout Started')
              AND (
                (
                  "t24"."age" >= 0
                ) AND (
                  "t24"."age" <= 259200000
                )
              )) AS "of_abandonment_facts",
            BOOL_OR(
              CAST("t24"."event" IN ('Order Completed')
              AND (
                (
                  "t24"."age" >= 0
                ) AND (
                  "t24"."age" <= 259200000
                )
              ) AS BOOLEAN)
            ) AS "of_abandonment_not_facts",
            MIN("t24"."age") FILTER(WHERE
              (
                "t24"."event" = 'Checkout Started'
              )
              AND (
                "t24"."age" >= 0
              )
              AND (
                "t24"."age" <= 259200000
              )) AS "step_drop_off_0_facts",
            ARRAY_AGG("t24"."age") FILTER(WHERE
              "t24"."age" IS NOT NULL
              AND (
                "t24"."event" = 'Checkout Step Viewed'
              )
              AND (
                "t24"."age" >= 0
              )
              AND (
                "t24"."age" <= 259200000
              )
              AND (
                "t24"."step" = 'pay'
              )) AS "step_drop_off_1_facts",
            MAX("t24"."age") FILTER(WHERE
              "t24"."event" IN (
                'Cart Viewed',
                'Checkout Started',
                'Checkout Step Completed',
                'Checkout Step Viewed',
                'Coupon Applied',
                'Coupon Denied',
                'Coupon Entered',
                'Coupon Removed',
                'Experience Viewed',
                'Payment Failed',
                'Payment Info Entered',
                'Product Added',
                'Product Removed'
              )
              AND (
                "t24"."age" <= 259200000
              )) AS "active_facts"
          FROM (
            SELECT
              "t18"."currency",
              "t18"."event",
              "t18"."step",
              "t18"."time",
              "t18"."trusted",
              "t18"."unit",
              "t18"."exposed",
              "t18"."time" - "t18"."exposed" AS "age"
            FROM (
              SELECT
                "t3"."currency",
                "t3"."event",
                "t3"."step",
                "t3"."time",
                "t3"."trusted",
                "t3"."unit",
                "t16"."exposed"
              FROM (
                SELECT
                  "t0"."currency",
                  "t0"."event",
                  "t0"."step",
                  "t0"."time",
                  "t0"."trusted",
                  "t0"."analytic_id" AS "unit"
                FROM "facts" AS "t0"
                WHERE
                  "t0"."store" = 'acme'
                  AND "t0"."environment" = 'live'
                  AND "t0"."flags" = 0
                  AND "t0"."time" <= 1729036800000
              ) AS "t3"
              INNER JOIN "t14" AS "t16"
                ON "t3"."unit" = "t16"."unit"
            ) AS "t18"
            WHERE
              "t18"."event" IN (
                'Cart Viewed',
                'Checkout Started',
                'Checkout Step Completed',
                'Checkout Step Viewed',
                'Coupon Applied',
                'Coupon Denied',
                'Coupon Entered',
                'Coupon Removed',
                'Experience Viewed',
                'Order Completed',
                'Payment Failed',
                'Payment Info Entered',
                'Product Added',
                'Product Removed'
              )
              AND (
                "t18"."time" - "t18"."exposed"
              ) >= 0
              AND (
                "t18"."time" - "t18"."exposed"
              ) <= 259200000
          ) AS "t24"
          GROUP BY
            1
        ) AS "t28"
          ON "t48"."unit" = "t28"."unit"
      ) AS "t49"
    ) AS "t51"
    LEFT OUTER JOIN (
      SELECT
        "t39"."unit",
        SUM("t39"."profit") FILTER(WHERE
          (
            "t39"."age" >= 0
          )
          AND (
            "t39"."age" <= 259200000
          )
          AND "t39"."stands"
          AND (
            "t39"."horizon" = 432000000
          )) AS "of_profit_orders",
        COUNT(*) FILTER(WHERE
          (
            "t39"."age" >= 0
          )
          AND (
            "t39"."age" <= 259200000
          )
          AND "t39"."stands"
          AND (
            "t39"."horizon" = 432000000
          )
          AND "t39"."trusted") AS "of_conversion_orders",
        ARRAY_AGG("t39"."age") FILTER(WHERE
          "t39"."age" IS NOT NULL
          AND (
            "t39"."event" = 'Order Completed'
          )
          AND (
            "t39"."age" >= 0
          )
          AND (
            "t39"."age" <= 259200000
          )
          AND (
            "t39"."stands" AND (
              "t39"."horizon" = 432000000
            )
          )) AS "step_drop_off_2_orders"
      FROM (
        SELECT
          "t38".*
          EXCLUDE ("paid")
        FROM (
          SELECT
            "t37"."unit",
            "t37"."exposed",
            "t37"."horizon",
            "t37"."order",
            "t37"."time",
            "t37"."reports",
            "t37"."undone",
            "t37"."refunds",
            "t37"."goods",
            CAST("t37"."amount" AS DOUBLE) * "t37"."factor" AS "amount",
            "t37"."cost",
            "t37"."currency",
            CAST("t37"."shipping" AS DOUBLE) * "t37"."factor" AS "shipping",
            CAST("t37"."subtotal" AS DOUBLE) * "t37"."factor" AS "subtotal",
            CAST("t37"."tax" AS DOUBLE) * "t37"."factor" AS "tax",
            "t37"."paid",
            "t37"."back",
            "t37"."factor",
            'Order Completed' AS "event",
            TRUE AS "trusted",
            NOT (
              "t37"."undone"
            )
            AND NOT (
              (
                "t37"."refunds" > 0
              ) AND (
                "t37"."back" >= "t37"."amount"
              )
            )
            AND (
              "t37"."factor" IS NOT NULL
            ) AS "stands",
            CAST("t37"."subtotal" - LEAST("t37"."back", GREATEST(0, "t37"."subtotal")) AS DOUBLE) * "t37"."factor" AS "net",
            (
              CAST("t37"."subtotal" - LEAST("t37"."back", GREATEST(0, "t37"."subtotal")) AS DOUBLE) * "t37"."factor"
            ) - COALESCE("t37"."cost", 0) AS "profit",
            "t37"."time" - "t37"."exposed" AS "age"
          FROM (
            SELECT
              "t36"."unit",
              "t36"."exposed",
              "t36"."horizon",
              "t36"."order",
              "t36"."time",
              "t36"."reports",
              "t36"."undone",
              "t36"."refunds",
              "t36"."goods",
              "t36"."amount",
              "t36"."cost",
              "t36"."currency",
              "t36"."shipping",
              "t36"."subtotal",
              "t36"."tax",
              "t36"."paid",
              CASE
                WHEN ARRAY_LENGTH(
                  LIST_FILTER(
                    LIST_FILTER(
                      "t36"."paid",
                      LAMBDA __ibis_param_refund__ : (
                        (
                          (
                            __ibis_param_refund__
                          )."currency"
                        ) IS NULL
                      )
                      OR (
                        "t36"."currency" IS NULL
                      )
                      OR (
                        (
                          __ibis_param_refund__
                        )."currency" = "t36"."currency"
                      )
                    ),
                    LAMBDA __ibis_param_refund__ : (
                      (
                        __ibis_param_refund__
                      )."amount"
                    ) IS NULL
                  )
                ) > 0
                THEN "t36"."amount"
                ELSE GREATEST(
                  0,
                  LEAST(
                    COALESCE(
                      LIST_SUM(
                        LIST_APPLY(
                          LIST_FILTER(
                            "t36"."paid",
                            LAMBDA __ibis_param_refund__ : (
                              (
                                (
                                  __ibis_param_refund__
                                )."currency"
                              ) IS NULL
                            )
                            OR (
                              "t36"."currency" IS NULL
                            )
                            OR (
                              (
                                __ibis_param_refund__
                              )."currency" = "t36"."currency"
                            )
                          ),
                          LAMBDA __ibis_param_refund__ : (
                            __ibis_param_refund__
                          )."amount"
                        )
                      ),
                      0
                    ),
                    "t36"."amount"
                  )
                )
              END AS "back",
              CASE
                WHEN (
                  "t36"."currency" IS NULL
                ) OR (
                  "t36"."currency" = 'EUR'
                )
                THEN 1.0
                WHEN (
                  "t36"."currency" = 'JPY'
                ) AND (
                  "t36"."time" >= 1728000000000
                )
                THEN 0.6
                WHEN (
                  "t36"."currency" = 'USD'
                ) AND (
                  "t36"."time" >= 1728086400000
                )
                THEN 0.95
                WHEN (
                  "t36"."currency" = 'USD'
                ) AND (
                  "t36"."time" >= 1725408000000
                )
                THEN 0.9
                ELSE NULL
              END AS "factor"
            FROM (
              SELECT
                "t35"."unit",
                "t35"."exposed",
                "t35"."horizon",
                "t35"."order",
                "t35"."time",
                "t35"."reports",
                "t35"."undone",
                "t35"."refunds",
                "t35"."goods",
                COALESCE(
                  "t35"."amount",
                  "t35"."subtotal" + (
                    COALESCE("t35"."shipping", 0) + COALESCE("t35"."tax", 0)
                  )
                ) AS "amount",
                "t35"."cost",
                "t35"."currency",
                "t35"."shipping",
                "t35"."subtotal",
                "t35"."tax",
                "t35"."paid"
              FROM (
                SELECT
                  "t29"."unit",
                  "t29"."exposed",
                  "t29"."horizon",
                  "t29"."order",
                  "t29"."time",
                  "t29"."reports",
                  "t29"."undone",
                  "t29"."refunds",
                  "t29"."goods",
                  "t29"."amount",
                  "t29"."cost",
                  "t29"."currency",
                  "t29"."shipping",
                  COALESCE(
                    "t29"."subtotal",
                    CASE
                      WHEN "t29"."amount" IS NULL
                      THEN COALESCE("t29"."goods", 0)
                      ELSE GREATEST(0, "t29"."amount" - (
                        COALESCE("t29"."shipping", 0) + COALESCE("t29"."tax", 0)
                      ))
                    END
                  ) AS "subtotal",
                  "t29"."tax",
                  "t29"."paid"
                FROM (
                  SELECT
                    "t26"."unit",
                    "t26"."exposed",
                    "t26"."horizon",
                    "t26"."order",
                    COALESCE(
                      MIN("t26"."time") FILTER(WHERE
                        "t26"."event" = 'Order Completed'),
                      MIN("t26"."time") FILTER(WHERE
                        "t26"."event" IN ('Order Completed', 'Order Updated'))
                    ) AS "time",
                    SUM(CAST("t26"."event" = 'Order Completed' AS INT)) AS "reports",
                    BOOL_OR(CAST("t26"."event" IN ('Order Cancelled', 'Order Returned') AS BOOLEAN)) AS "undone",
                    SUM(CAST("t26"."event" = 'Order Refunded' AS INT)) AS "refunds",
                    FIRST("t26"."goods" ORDER BY {'time': "t26"."time", 'received': "t26"."received"} DESC) FILTER(WHERE
                      "t26"."event" IN ('Order Completed', 'Order Updated')
                      AND (
                        "t26"."goods" IS NOT NULL
                      )) AS "goods",
                    FIRST(
                      "t26"."amount" ORDER BY {'time': "t26"."time", 'received': "t26"."received"} DESC
                    ) FILTER(WHERE
                      "t26"."event" IN ('Order Completed', 'Order Updated')
                      AND (
                        "t26"."amount" IS NOT NULL
                      )) AS "amount",
                    FIRST("t26"."cost" ORDER BY {'time': "t26"."time", 'received': "t26"."received"} DESC) FILTER(WHERE
                      "t26"."event" IN ('Order Completed', 'Order Updated')
                      AND (
                        "t26"."cost" IS NOT NULL
                      )) AS "cost",
                    FIRST(
                      "t26"."currency" ORDER BY {'time': "t26"."time", 'received': "t26"."received"} DESC
                    ) FILTER(WHERE
                      "t26"."event" IN ('Order Completed', 'Order Updated')
                      AND (
                        "t26"."currency" IS NOT NULL
                      )) AS "currency",
                    FIRST(
                      "t26"."shipping" ORDER BY {'time': "t26"."time", 'received': "t26"."received"} DESC
                    ) FILTER(WHERE
                      "t26"."event" IN ('Order Completed', 'Order Updated')
                      AND (
                        "t26"."shipping" IS NOT NULL
                      )) AS "shipping",
                    FIRST(
                      "t26"."subtotal" ORDER BY {'time': "t26"."time", 'received': "t26"."received"} DESC
                    ) FILTER(WHERE
                      "t26"."event" IN ('Order Completed', 'Order Updated')
                      AND (
                        "t26"."subtotal" IS NOT NULL
                      )) AS "subtotal",
                    FIRST("t26"."tax" ORDER BY {'time': "t26"."time", 'received': "t26"."received"} DESC) FILTER(WHERE
                      "t26"."event" IN ('Order Completed', 'Order Updated')
                      AND (
                        "t26"."tax" IS NOT NULL
                      )) AS "tax",
                    ARRAY_AGG(
                      {'amount': CASE
                        WHEN "t26"."amount" >= 0
                        THEN "t26"."amount"
                        WHEN "t26"."goods" > 0
                        THEN "t26"."goods"
                        ELSE NULL
                      END, 'currency': "t26"."currency"}
                    ) FILTER(WHERE
                      {'amount': CASE
                        WHEN "t26"."amount" >= 0
                        THEN "t26"."amount"
                        WHEN "t26"."goods" > 0
                        THEN "t26"."goods"
                        ELSE NULL
                      END, 'currency': "t26"."currency"} IS NOT NULL
                      AND "t26"."event" = 'Order Refunded') AS "paid"
                  FROM (
                    SELECT
                      *
                    FROM (
                      SELECT
                        "t20"."order",
                        "t20"."time",
                        "t20"."received",
                        "t20"."event",
                        "t20"."amount",
                        "t20"."cost",
                        "t20"."currency",
                        "t20"."shipping",
                        "t20"."subtotal",
                        "t20"."tax",
                        "t20"."goods",
                        "t20"."owner",
                        "t20"."unit",
                        "t20"."exposed",
                        UNNEST(CAST([0, 432000000] AS INT[])) AS "horizon"
                      FROM (
                        SELECT
                          "t9"."order",
                          "t9"."time",
                          "t9"."received",
                          "t9"."event",
                          "t9"."amount",
                          "t9"."cost",
                          "t9"."currency",
                          "t9"."shipping",
                          "t9"."subtotal",
                          "t9"."tax",
                          "t9"."goods",
                          "t11"."owner",
                          "t17"."unit",
                          "t17"."exposed"
                        FROM (
                          SELECT
                            "t6".*
                            EXCLUDE ("unit")
                          FROM "t5" AS "t6"
                        ) AS "t9"
                        INNER JOIN (
                          SELECT
                            "t6"."order",
                            FIRST("t6"."unit" ORDER BY {'time': "t6"."time", 'received': "t6"."received"}) FILTER(WHERE
                              "t6"."event" IN ('Order Completed', 'Order Updated')
                              AND (
                                "t6"."unit" IS NOT NULL
                              )) AS "owner"
                          FROM "t5" AS "t6"
                          GROUP BY
                            1
                        ) AS "t11"
                          ON "t9"."order" = "t11"."order"
                        INNER JOIN "t14" AS "t17"
                          ON "t11"."owner" = "t17"."unit"
                      ) AS "t20"
                    ) AS "t23"
                    WHERE
                      "t23"."time" <= (
                        "t23"."exposed" + "t23"."horizon"
                      )
                  ) AS "t26"
                  GROUP BY
                    1,
                    2,
                    3,
                    4
                ) AS "t29"
                WHERE
                  "t29"."time" IS NOT NULL
              ) AS "t35"
            ) AS "t36"
          ) AS "t37"
        ) AS "t38"
      ) AS "t39"
      GROUP BY
        1
    ) AS "t44"
      ON "t51"."unit" = "t44"."unit"
  ) AS "t52"
) AS "t53"
