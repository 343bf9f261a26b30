WITH "t5" AS (
  SELECT
    "t0"."order",
    "t0"."time",
    "t0"."received",
    "t0"."event",
    "t0"."amount",
    "t0"."cost",
    "t0"."currency",
    "t0"."device",
    "t0"."measures",
    "t0"."method",
    "t0"."shipping",
    "t0"."subtotal",
    "t0"."tax",
    "t0"."cart" AS "unit",
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
      "t0"."cart" AS "unit",
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
      AND "t0"."cart" IS NOT NULL
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
  "t52"."unit",
  "t52"."exposed",
  "t52"."tainted",
  "t52"."arm",
  "t52"."device",
  "t52"."country",
  "t52"."browser",
  "t52"."level",
  "t52"."placement",
  "t52"."playbook",
  "t52"."mask",
  "t52"."segments",
  "t52"."propensity",
  "t52"."ghost",
  "t52"."epoch",
  "t52"."cart_before",
  "t52"."events_before",
  "t52"."spent_before",
  "t52"."mobile",
  "t52"."step_drop_off_0_facts" AS "step_drop_off_0",
  LIST_MIN(
    LIST_FILTER(
      "t52"."step_drop_off_1_facts",
      LAMBDA __ibis_param_time__ : __ibis_param_time__ >= "t52"."step_drop_off_0_facts"
    )
  ) AS "step_drop_off_1",
  LIST_MIN(
    LIST_FILTER(
      "t52"."step_drop_off_2_orders",
      LAMBDA __ibis_param_time__ : __ibis_param_time__ >= LIST_MIN(
        LIST_FILTER(
          "t52"."step_drop_off_1_facts",
          LAMBDA __ibis_param_time__ : __ibis_param_time__ >= "t52"."step_drop_off_0_facts"
        )
      )
    )
  ) AS "step_drop_off_2",
  COALESCE("t52"."active_facts", 0) AS "active",
  0 + COALESCE("t52"."of_profit_orders", 0) AS "of_profit",
  0 + COALESCE("t52"."of_revenue_orders", 0) AS "of_revenue",
  0 + COALESCE("t52"."of_short_orders", 0) AS "of_short",
  CAST(CASE WHEN (
    0 + COALESCE("t52"."of_conversion_orders", 0)
  ) > 0 THEN 1 ELSE 0 END AS DOUBLE) AS "of_conversion",
  CAST(CASE
    WHEN COALESCE("t52"."of_abandonment_not_facts", FALSE)
    THEN 0
    ELSE CASE WHEN (
      0 + COALESCE("t52"."of_abandonment_facts", 0)
    ) > 0 THEN 1 ELSE 0 END
  END AS DOUBLE) AS "of_abandonment",
  CAST(LEAST(259200000, COALESCE("t52"."of_time_to_order_orders", 259200000)) AS DOUBLE) AS "of_time_to_order",
  0 + COALESCE("t52"."of_by_cards_orders", 0) AS "of_by_cards",
  CAST(0 + COALESCE("t52"."of_phones_facts", 0) + COALESCE("t52"."of_phones_orders", 0) AS DOUBLE) AS "of_phones",
  0 + COALESCE("t52"."of_tips_facts", 0) + COALESCE("t52"."of_tips_orders", 0) AS "of_tips",
  CAST(0 + COALESCE("t52"."per_tips_facts", 0) + COALESCE("t52"."per_tips_orders", 0) AS DOUBLE) AS "per_tips",
  CASE
    WHEN (
      "t52"."of_wait_facts" IS NULL
    )
    AND (
      (
        0 + COALESCE("t52"."of_wait_any_facts", 0)
      ) > 0
    )
    THEN NULL
    ELSE CAST(0 + COALESCE("t52"."of_wait_facts", 0) AS DOUBLE)
  END AS "of_wait",
  CAST(0 + COALESCE("t52"."per_wait_facts", 0) AS DOUBLE) AS "per_wait",
  0 + COALESCE("t52"."of_carts_facts", 0) AS "of_carts"
FROM (
  SELECT
    "t51".*
    EXCLUDE ("unit_right")
  FROM (
    SELECT
      "t50"."unit",
      "t50"."exposed",
      "t50"."tainted",
      "t50"."arm",
      "t50"."device",
      "t50"."country",
      "t50"."browser",
      "t50"."level",
      "t50"."placement",
      "t50"."playbook",
      "t50"."mask",
      "t50"."segments",
      "t50"."propensity",
      "t50"."ghost",
      "t50"."epoch",
      "t50"."cart_before",
      "t50"."events_before",
      "t50"."spent_before",
      "t50"."mobile",
      "t50"."of_abandonment_facts",
      "t50"."of_abandonment_not_facts",
      "t50"."of_phones_facts",
      "t50"."of_tips_facts",
      "t50"."per_tips_facts",
      "t50"."of_wait_facts",
      "t50"."of_wait_any_facts",
      "t50"."per_wait_facts",
      "t50"."of_carts_facts",
      "t50"."step_drop_off_0_facts",
      "t50"."step_drop_off_1_facts",
      "t50"."active_facts",
      "t43"."unit" AS "unit_right",
      "t43"."of_profit_orders",
      "t43"."of_revenue_orders",
      "t43"."of_short_orders",
      "t43"."of_conversion_orders",
      "t43"."of_time_to_order_orders",
      "t43"."of_by_cards_orders",
      "t43"."of_phones_orders",
      "t43"."of_tips_orders",
      "t43"."per_tips_orders",
      "t43"."step_drop_off_2_orders"
    FROM (
      SELECT
        "t48".*
        EXCLUDE ("unit_right")
      FROM (
        SELECT
          "t47"."unit",
          "t47"."exposed",
          "t47"."tainted",
          "t47"."arm",
          "t47"."device",
          "t47"."country",
          "t47"."browser",
          "t47"."level",
          "t47"."placement",
          "t47"."playbook",
          "t47"."mask",
          "t47"."segments",
          "t47"."propensity",
          "t47"."ghost",
          "t47"."epoch",
          "t47"."cart_before",
          "t47"."events_before",
          "t47"."spent_before",
          "t47"."mobile",
          "t28"."unit" AS "unit_right",
          "t28"."of_abandonment_facts",
          "t28"."of_abandonment_not_facts",
          "t28"."of_phones_facts",
          "t28"."of_tips_facts",
          "t28"."per_tips_facts",
          "t28"."of_wait_facts",
          "t28"."of_wait_any_facts",
          "t28"."per_wait_facts",
          "t28"."of_carts_facts",
          "t28"."step_drop_off_0_facts",
          "t28"."step_drop_off_1_facts",
          "t28"."active_facts"
        FROM (
          SELECT
            "t45"."unit",
            "t45"."exposed",
            "t45"."tainted",
            "t45"."arm",
            "t45"."device",
            "t45"."country",
            "t45"."browser",
            "t45"."level",
            "t45"."placement",
            "t45"."playbook",
            "t45"."mask",
            "t45"."segments",
            "t45"."propensity",
            "t45"."ghost",
            "t45"."epoch",
            COALESCE("t45"."cart_before_known", 0) AS "cart_before",
            CAST(COALESCE("t45"."events_before_known", 0) AS DOUBLE) AS "events_before",
            COALESCE("t45"."spent_before_known", 0) AS "spent_before",
            CAST(COALESCE(CAST("t45"."device" = 'mobile' AS BIGINT), 0) AS DOUBLE) AS "mobile"
          FROM (
            SELECT
              "t44".*
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
                "t41"."unit" AS "unit_right",
                "t41"."spent_before_known"
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
                            "t0"."cart" AS "unit"
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
                  "t39"."unit",
                  SUM("t39"."net") AS "spent_before_known"
                FROM (
                  SELECT
                    *
                  FROM (
                    SELECT
                      "t37".*
                      EXCLUDE ("paid")
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
                        CAST("t36"."amount" AS DOUBLE) * "t36"."factor" AS "amount",
                        CAST("t36"."cost" AS DOUBLE) * "t36"."factor" AS "cost",
                        "t36"."currency",
                        "t36"."device",
                        "t36"."measures",
                        "t36"."method",
                        CAST("t36"."shipping" AS DOUBLE) * "t36"."factor" AS "shipping",
                        CAST("t36"."subtotal" AS DOUBLE) * "t36"."factor" AS "subtotal",
                        CAST("t36"."tax" AS DOUBLE) * "t36"."factor" AS "tax",
                        "t36"."paid",
                        "t36"."back",
                        "t36"."factor",
                        'Order Completed' AS "event",
                        TRUE AS "trusted",
                        NOT (
                          "t36"."undone"
                        )
                        AND NOT (
                          (
                            "t36"."refunds" > 0
                          ) AND (
                            "t36"."back" >= "t36"."amount"
                          )
                        )
                        AND (
                          "t36"."factor" IS NOT NULL
                        ) AS "stands",
                        CAST("t36"."subtotal" - LEAST("t36"."back", GREATEST(0, "t36"."subtotal")) AS DOUBLE) * "t36"."factor" AS "net",
                        CAST((
                          "t36"."subtotal" - LEAST("t36"."back", GREATEST(0, "t36"."subtotal"))
                        ) - COALESCE("t36"."cost", 0) AS DOUBLE) * "t36"."factor" AS "profit",
                        "t36"."time" - "t36"."exposed" AS "age"
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
                          "t35"."amount",
                          "t35"."cost",
                          "t35"."currency",
                          "t35"."device",
                          "t35"."measures",
                          "t35"."method",
                          "t35"."shipping",
                          "t35"."subtotal",
                          "t35"."tax",
                          "t35"."paid",
                          CASE
                            WHEN ARRAY_LENGTH(
                              LIST_FILTER(
                                LIST_FILTER(
                                  "t35"."paid",
                                  LAMBDA __ibis_param_refund__ : (
                                    (
                                      (
                                        __ibis_param_refund__
                                      )."currency"
                                    ) IS NULL
                                  )
                                  OR (
                                    "t35"."currency" IS NULL
                                  )
                                  OR (
                                    (
                                      __ibis_param_refund__
                                    )."currency" = "t35"."currency"
                                  )
                                ),
                                LAMBDA __ibis_param_refund__ : (
                                  (
                                    __ibis_param_refund__
                                  )."amount"
                                ) IS NULL
                              )
                            ) > 0
                            THEN "t35"."amount"
                            ELSE GREATEST(
                              0,
                              LEAST(
                                COALESCE(
                                  LIST_SUM(
                                    LIST_APPLY(
                                      LIST_FILTER(
                                        "t35"."paid",
                                        LAMBDA __ibis_param_refund__ : (
                                          (
                                            (
                                              __ibis_param_refund__
                                            )."currency"
                                          ) IS NULL
                                        )
                                        OR (
                                          "t35"."currency" IS NULL
                                        )
                                        OR (
                                          (
                                            __ibis_param_refund__
                                          )."currency" = "t35"."currency"
                                        )
                                      ),
                                      LAMBDA __ibis_param_refund__ : (
                                        __ibis_param_refund__
                                      )."amount"
                                    )
                                  ),
                                  0
                                ),
                                "t35"."amount"
                              )
                            )
                          END AS "back",
                          CASE
                            WHEN (
                              "t35"."currency" IS NULL
                            ) OR (
                              "t35"."currency" = 'EUR'
                            )
                            THEN 1.0
                            WHEN (
                              "t35"."currency" = 'JPY'
                            ) AND (
                              "t35"."time" >= 1728000000000
                            )
                            THEN 0.6
                            WHEN (
                              "t35"."currency" = 'USD'
                            ) AND (
                              "t35"."time" >= 1728086400000
                            )
                            THEN 0.95
                            WHEN (
                              "t35"."currency" = 'USD'
                            ) AND (
                              "t35"."time" >= 1725408000000
                            )
                            THEN 0.9
                            ELSE NULL
                          END AS "factor"
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
                            COALESCE(
                              "t29"."amount",
                              COALESCE(
                                "t29"."subtotal",
                                CASE
                                  WHEN "t29"."amount" IS NULL
                                  THEN COALESCE("t29"."goods", 0)
                                  ELSE GREATEST(0, "t29"."amount" - (
                                    COALESCE("t29"."shipping", 0) + COALESCE("t29"."tax", 0)
                                  ))
                                END
                              ) + (
                                COALESCE("t29"."shipping", 0) + COALESCE("t29"."tax", 0)
                              )
                            ) AS "amount",
                            "t29"."cost",
                            "t29"."currency",
                            "t29"."device",
                            "t29"."measures",
                            "t29"."method",
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
                                "t26"."device" ORDER BY {'time': "t26"."time", 'received': "t26"."received"} DESC
                              ) FILTER(WHERE
                                "t26"."event" IN ('Order Completed', 'Order Updated')
                                AND (
                                  "t26"."device" IS NOT NULL
                                )) AS "device",
                              FIRST(
                                "t26"."measures" ORDER BY {'time': "t26"."time", 'received': "t26"."received"} DESC
                              ) FILTER(WHERE
                                "t26"."event" IN ('Order Completed', 'Order Updated')
                                AND (
                                  "t26"."measures" IS NOT NULL
                                )) AS "measures",
                              FIRST(
                                "t26"."method" ORDER BY {'time': "t26"."time", 'received': "t26"."received"} DESC
                              ) FILTER(WHERE
                                "t26"."event" IN ('Order Completed', 'Order Updated')
                                AND (
                                  "t26"."method" IS NOT NULL
                                )) AS "method",
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
                                  "t20"."device",
                                  "t20"."measures",
                                  "t20"."method",
                                  "t20"."shipping",
                                  "t20"."subtotal",
                                  "t20"."tax",
                                  "t20"."goods",
                                  "t20"."owner",
                                  "t20"."unit",
                                  "t20"."exposed",
                                  UNNEST(CAST([0, 259200000, 432000000] AS INT[])) AS "horizon"
                                FROM (
                                  SELECT
                                    "t9"."order",
                                    "t9"."time",
                                    "t9"."received",
                                    "t9"."event",
                                    "t9"."amount",
                                    "t9"."cost",
                                    "t9"."currency",
                                    "t9"."device",
                                    "t9"."measures",
                                    "t9"."method",
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
                  WHERE
                    "t38"."horizon" = 0
                    AND "t38"."stands"
                    AND "t38"."age" < 0
                    AND "t38"."age" >= -1209600000
                ) AS "t39"
                GROUP BY
                  1
              ) AS "t41"
                ON "t34"."unit" = "t41"."unit"
            ) AS "t44"
          ) AS "t45"
        ) AS "t47"
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
            COUNT(*) FILTER(WHERE
              "t24"."event" IN ('Product Added')
              AND (
                (
                  "t24"."age" >= 0
                ) AND (
                  "t24"."age" <= 259200000
                )
              )
              AND NOT (
                "t24"."device" = 'desktop'
              )) AS "of_phones_facts",
            SUM(
              CASE
                WHEN "t24"."measures" IS NULL
                THEN NULL
                ELSE COALESCE(
                  LIST_EXTRACT(CASE WHEN 'tip' IS NULL THEN NULL ELSE ELEMENT_AT("t24"."measures", 'tip') END, 1),
                  NULL
                )
              END * CASE
                WHEN (
                  "t24"."currency" IS NULL
                ) OR (
                  "t24"."currency" = 'EUR'
                )
                THEN 1.0
                WHEN (
                  "t24"."currency" = 'JPY'
                ) AND (
                  "t24"."time" >= 1728000000000
                )
                THEN 0.6
                WHEN (
                  "t24"."currency" = 'USD'
                ) AND (
                  "t24"."time" >= 1728086400000
                )
                THEN 0.95
                WHEN (
                  "t24"."currency" = 'USD'
                ) AND (
                  "t24"."time" >= 1725408000000
                )
                THEN 0.9
                ELSE NULL
              END
            ) FILTER(WHERE
              "t24"."event" IN ('Product Added')
              AND (
                (
                  "t24"."age" >= 0
                ) AND (
                  "t24"."age" <= 259200000
                )
              )) AS "of_tips_facts",
            COUNT(*) FILTER(WHERE
              "t24"."event" IN ('Product Added')
              AND (
                (
                  "t24"."age" >= 0
                ) AND (
                  "t24"."age" <= 259200000
                )
              )) AS "per_tips_facts",
            SUM("t24"."latency") FILTER(WHERE
              "t24"."event" IN ('Experience Viewed')
              AND (
                (
                  "t24"."age" >= 0
                ) AND (
                  "t24"."age" <= 259200000
                )
              )) AS "of_wait_facts",
            COUNT(*) FILTER(WHERE
              "t24"."event" IN ('Experience Viewed')
              AND (
                (
                  "t24"."age" >= 0
                ) AND (
                  "t24"."age" <= 259200000
                )
              )) AS "of_wait_any_facts",
            COUNT(*) FILTER(WHERE
              "t24"."event" IN ('Experience Viewed')
              AND (
                (
                  "t24"."age" >= 0
                ) AND (
                  "t24"."age" <= 259200000
                )
              )) AS "per_wait_facts",
            SUM(
              CAST("t24"."amount" AS DOUBLE) * CASE
                WHEN (
                  "t24"."currency" IS NULL
                ) OR (
                  "t24"."currency" = 'EUR'
                )
                THEN 1.0
                WHEN (
                  "t24"."currency" = 'JPY'
                ) AND (
                  "t24"."time" >= 1728000000000
                )
                THEN 0.6
                WHEN (
                  "t24"."currency" = 'USD'
                ) AND (
                  "t24"."time" >= 1728086400000
                )
                THEN 0.95
                WHEN (
                  "t24"."currency" = 'USD'
                ) AND (
                  "t24"."time" >= 1725408000000
                )
                THEN 0.9
                ELSE NULL
              END
            ) FILTER(WHERE
              "t24"."event" IN ('Cart Viewed')
              AND (
                (
                  "t24"."age" >= 0
                ) AND (
                  "t24"."age" <= 259200000
                )
              )
              AND (
                "t24"."currency" IN ('EUR', 'USD') OR NOT (
                  "t24"."currency" IS NOT NULL
                )
              )) AS "of_carts_facts",
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
              "t18"."amount",
              "t18"."currency",
              "t18"."device",
              "t18"."event",
              "t18"."latency",
              "t18"."measures",
              "t18"."method",
              "t18"."step",
              "t18"."subtotal",
              "t18"."time",
              "t18"."trusted",
              "t18"."unit",
              "t18"."exposed",
              "t18"."time" - "t18"."exposed" AS "age"
            FROM (
              SELECT
                "t3"."amount",
                "t3"."currency",
                "t3"."device",
                "t3"."event",
                "t3"."latency",
                "t3"."measures",
                "t3"."method",
                "t3"."step",
                "t3"."subtotal",
                "t3"."time",
                "t3"."trusted",
                "t3"."unit",
                "t16"."exposed"
              FROM (
                SELECT
                  "t0"."amount",
                  "t0"."currency",
                  "t0"."device",
                  "t0"."event",
                  "t0"."latency",
                  "t0"."measures",
                  "t0"."method",
                  "t0"."step",
                  "t0"."subtotal",
                  "t0"."time",
                  "t0"."trusted",
                  "t0"."cart" AS "unit"
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
          ON "t47"."unit" = "t28"."unit"
      ) AS "t48"
    ) AS "t50"
    LEFT OUTER JOIN (
      SELECT
        "t38"."unit",
        SUM("t38"."profit") FILTER(WHERE
          (
            "t38"."age" >= 0
          )
          AND (
            "t38"."age" <= 259200000
          )
          AND "t38"."stands"
          AND (
            "t38"."horizon" = 432000000
          )) AS "of_profit_orders",
        SUM("t38"."net") FILTER(WHERE
          (
            "t38"."age" >= 0
          )
          AND (
            "t38"."age" <= 259200000
          )
          AND "t38"."stands"
          AND (
            "t38"."horizon" = 432000000
          )) AS "of_revenue_orders",
        SUM("t38"."subtotal") FILTER(WHERE
          (
            "t38"."age" >= 0
          )
          AND (
            "t38"."age" <= 86400000
          )
          AND "t38"."stands"
          AND (
            "t38"."horizon" = 259200000
          )) AS "of_short_orders",
        COUNT(*) FILTER(WHERE
          (
            "t38"."age" >= 0
          )
          AND (
            "t38"."age" <= 259200000
          )
          AND "t38"."stands"
          AND (
            "t38"."horizon" = 432000000
          )
          AND "t38"."trusted") AS "of_conversion_orders",
        MIN("t38"."age") FILTER(WHERE
          (
            "t38"."age" >= 0
          )
          AND (
            "t38"."age" <= 259200000
          )
          AND "t38"."stands"
          AND (
            "t38"."horizon" = 432000000
          )) AS "of_time_to_order_orders",
        SUM("t38"."amount") FILTER(WHERE
          (
            "t38"."age" >= 0
          )
          AND (
            "t38"."age" <= 259200000
          )
          AND "t38"."stands"
          AND (
            "t38"."horizon" = 432000000
          )
          AND (
            (
              "t38"."method" = 'card'
            ) AND (
              "t38"."amount" >= 150
            )
          )) AS "of_by_cards_orders",
        COUNT(*) FILTER(WHERE
          (
            "t38"."age" >= 0
          )
          AND (
            "t38"."age" <= 259200000
          )
          AND "t38"."stands"
          AND (
            "t38"."horizon" = 432000000
          )
          AND NOT (
            "t38"."device" = 'desktop'
          )) AS "of_phones_orders",
        SUM(
          CASE
            WHEN "t38"."measures" IS NULL
            THEN NULL
            ELSE COALESCE(
              LIST_EXTRACT(CASE WHEN 'tip' IS NULL THEN NULL ELSE ELEMENT_AT("t38"."measures", 'tip') END, 1),
              NULL
            )
          END * "t38"."factor"
        ) FILTER(WHERE
          (
            "t38"."age" >= 0
          )
          AND (
            "t38"."age" <= 259200000
          )
          AND "t38"."stands"
          AND (
            "t38"."horizon" = 432000000
          )) AS "of_tips_orders",
        COUNT(*) FILTER(WHERE
          (
            "t38"."age" >= 0
          )
          AND (
            "t38"."age" <= 259200000
          )
          AND "t38"."stands"
          AND (
            "t38"."horizon" = 432000000
          )) AS "per_tips_orders",
        ARRAY_AGG("t38"."age") FILTER(WHERE
          "t38"."age" IS NOT NULL
          AND (
            "t38"."event" = 'Order Completed'
          )
          AND (
            "t38"."age" >= 0
          )
          AND (
            "t38"."age" <= 259200000
          )
          AND (
            "t38"."stands" AND (
              "t38"."horizon" = 432000000
            )
          )) AS "step_drop_off_2_orders"
      FROM (
        SELECT
          "t37".*
          EXCLUDE ("paid")
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
            CAST("t36"."amount" AS DOUBLE) * "t36"."factor" AS "amount",
            CAST("t36"."cost" AS DOUBLE) * "t36"."factor" AS "cost",
            "t36"."currency",
            "t36"."device",
            "t36"."measures",
            "t36"."method",
            CAST("t36"."shipping" AS DOUBLE) * "t36"."factor" AS "shipping",
            CAST("t36"."subtotal" AS DOUBLE) * "t36"."factor" AS "subtotal",
            CAST("t36"."tax" AS DOUBLE) * "t36"."factor" AS "tax",
            "t36"."paid",
            "t36"."back",
            "t36"."factor",
            'Order Completed' AS "event",
            TRUE AS "trusted",
            NOT (
              "t36"."undone"
            )
            AND NOT (
              (
                "t36"."refunds" > 0
              ) AND (
                "t36"."back" >= "t36"."amount"
              )
            )
            AND (
              "t36"."factor" IS NOT NULL
            ) AS "stands",
            CAST("t36"."subtotal" - LEAST("t36"."back", GREATEST(0, "t36"."subtotal")) AS DOUBLE) * "t36"."factor" AS "net",
            CAST((
              "t36"."subtotal" - LEAST("t36"."back", GREATEST(0, "t36"."subtotal"))
            ) - COALESCE("t36"."cost", 0) AS DOUBLE) * "t36"."factor" AS "profit",
            "t36"."time" - "t36"."exposed" AS "age"
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
              "t35"."amount",
              "t35"."cost",
              "t35"."currency",
              "t35"."device",
              "t35"."measures",
              "t35"."method",
              "t35"."shipping",
              "t35"."subtotal",
              "t35"."tax",
              "t35"."paid",
              CASE
                WHEN ARRAY_LENGTH(
                  LIST_FILTER(
                    LIST_FILTER(
                      "t35"."paid",
                      LAMBDA __ibis_param_refund__ : (
                        (
                          (
                            __ibis_param_refund__
                          )."currency"
                        ) IS NULL
                      )
                      OR (
                        "t35"."currency" IS NULL
                      )
                      OR (
                        (
                          __ibis_param_refund__
                        )."currency" = "t35"."currency"
                      )
                    ),
                    LAMBDA __ibis_param_refund__ : (
                      (
                        __ibis_param_refund__
                      )."amount"
                    ) IS NULL
                  )
                ) > 0
                THEN "t35"."amount"
                ELSE GREATEST(
                  0,
                  LEAST(
                    COALESCE(
                      LIST_SUM(
                        LIST_APPLY(
                          LIST_FILTER(
                            "t35"."paid",
                            LAMBDA __ibis_param_refund__ : (
                              (
                                (
                                  __ibis_param_refund__
                                )."currency"
                              ) IS NULL
                            )
                            OR (
                              "t35"."currency" IS NULL
                            )
                            OR (
                              (
                                __ibis_param_refund__
                              )."currency" = "t35"."currency"
                            )
                          ),
                          LAMBDA __ibis_param_refund__ : (
                            __ibis_param_refund__
                          )."amount"
                        )
                      ),
                      0
                    ),
                    "t35"."amount"
                  )
                )
              END AS "back",
              CASE
                WHEN (
                  "t35"."currency" IS NULL
                ) OR (
                  "t35"."currency" = 'EUR'
                )
                THEN 1.0
                WHEN (
                  "t35"."currency" = 'JPY'
                ) AND (
                  "t35"."time" >= 1728000000000
                )
                THEN 0.6
                WHEN (
                  "t35"."currency" = 'USD'
                ) AND (
                  "t35"."time" >= 1728086400000
                )
                THEN 0.95
                WHEN (
                  "t35"."currency" = 'USD'
                ) AND (
                  "t35"."time" >= 1725408000000
                )
                THEN 0.9
                ELSE NULL
              END AS "factor"
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
                COALESCE(
                  "t29"."amount",
                  COALESCE(
                    "t29"."subtotal",
                    CASE
                      WHEN "t29"."amount" IS NULL
                      THEN COALESCE("t29"."goods", 0)
                      ELSE GREATEST(0, "t29"."amount" - (
                        COALESCE("t29"."shipping", 0) + COALESCE("t29"."tax", 0)
                      ))
                    END
                  ) + (
                    COALESCE("t29"."shipping", 0) + COALESCE("t29"."tax", 0)
                  )
                ) AS "amount",
                "t29"."cost",
                "t29"."currency",
                "t29"."device",
                "t29"."measures",
                "t29"."method",
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
                    "t26"."device" ORDER BY {'time': "t26"."time", 'received': "t26"."received"} DESC
                  ) FILTER(WHERE
                    "t26"."event" IN ('Order Completed', 'Order Updated')
                    AND (
                      "t26"."device" IS NOT NULL
                    )) AS "device",
                  FIRST(
                    "t26"."measures" ORDER BY {'time': "t26"."time", 'received': "t26"."received"} DESC
                  ) FILTER(WHERE
                    "t26"."event" IN ('Order Completed', 'Order Updated')
                    AND (
                      "t26"."measures" IS NOT NULL
                    )) AS "measures",
                  FIRST(
                    "t26"."method" ORDER BY {'time': "t26"."time", 'received': "t26"."received"} DESC
                  ) FILTER(WHERE
                    "t26"."event" IN ('Order Completed', 'Order Updated')
                    AND (
                      "t26"."method" IS NOT NULL
                    )) AS "method",
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
                      "t20"."device",
                      "t20"."measures",
                      "t20"."method",
                      "t20"."shipping",
                      "t20"."subtotal",
                      "t20"."tax",
                      "t20"."goods",
                      "t20"."owner",
                      "t20"."unit",
                      "t20"."exposed",
                      UNNEST(CAST([0, 259200000, 432000000] AS INT[])) AS "horizon"
                    FROM (
                      SELECT
                        "t9"."order",
                        "t9"."time",
                        "t9"."received",
                        "t9"."event",
                        "t9"."amount",
                        "t9"."cost",
                        "t9"."currency",
                        "t9"."device",
                        "t9"."measures",
                        "t9"."method",
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
      GROUP BY
        1
    ) AS "t43"
      ON "t50"."unit" = "t43"."unit"
  ) AS "t51"
) AS "t52"
