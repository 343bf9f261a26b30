WITH "t3" AS (
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
), "t10" AS (
  SELECT
    "t6"."unit",
    MIN("t6"."time") AS "exposed",
    FIRST(
      {'arm': "t6"."arm", 'outcome': "t6"."outcome", 'device': "t6"."device", 'country': "t6"."country", 'browser': "t6"."browser", 'level': "t6"."level", 'placement': "t6"."placement", 'playbook': "t6"."playbook", 'mask': "t6"."mask", 'segments': "t6"."segments", 'propensity': "t6"."propensity"} ORDER BY {'time': "t6"."time", 'received': COALESCE("t6"."received", 0), 'decision': COALESCE("t6"."decision", ''), 'arm': "t6"."arm", 'outcome': COALESCE("t6"."outcome", '')}
    ) AS "first",
    MIN("t6"."arm") <> MAX("t6"."arm") AS "tainted"
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
  ) AS "t6"
  GROUP BY
    1
), "t12" AS (
  SELECT
    "t11"."unit",
    "t11"."exposed"
  FROM "t10" AS "t11"
)
SELECT
  "t37"."unit",
  "t37"."exposed",
  "t37"."tainted",
  "t37"."arm",
  "t37"."device",
  "t37"."country",
  "t37"."browser",
  "t37"."level",
  "t37"."placement",
  "t37"."playbook",
  "t37"."mask",
  "t37"."segments",
  "t37"."propensity",
  "t37"."ghost",
  "t37"."epoch",
  "t37"."step_drop_off_0_facts" AS "step_drop_off_0",
  LIST_MIN(
    LIST_FILTER(
      "t37"."step_drop_off_1_facts",
      LAMBDA __ibis_param_time__ : __ibis_param_time__ >= "t37"."step_drop_off_0_facts"
    )
  ) AS "step_drop_off_1",
  LIST_MIN(
    LIST_FILTER(
      "t37"."step_drop_off_2_orders",
      LAMBDA __ibis_param_time__ : __ibis_param_time__ >= LIST_MIN(
        LIST_FILTER(
          "t37"."step_drop_off_1_facts",
          LAMBDA __ibis_param_time__ : __ibis_param_time__ >= "t37"."step_drop_off_0_facts"
        )
      )
    )
  ) AS "step_drop_off_2",
  COALESCE("t37"."cart_before_facts", 0) AS "cart_before",
  CAST(COALESCE("t37"."events_before_facts", 0) AS DOUBLE) AS "events_before",
  COALESCE("t37"."spent_before_orders", 0) AS "spent_before",
  CAST(COALESCE(CAST("t37"."device" = 'mobile' AS BIGINT), 0) AS DOUBLE) AS "mobile",
  COALESCE("t37"."active_facts", 0) AS "active",
  0 + COALESCE("t37"."of_profit_orders", 0) AS "of_profit",
  CAST(CASE WHEN (
    0 + COALESCE("t37"."of_conversion_orders", 0)
  ) > 0 THEN 1 ELSE 0 END AS DOUBLE) AS "of_conversion",
  CAST(CASE
    WHEN COALESCE("t37"."of_abandonment_not_facts", FALSE)
    THEN 0
    ELSE CASE WHEN (
      0 + COALESCE("t37"."of_abandonment_facts", 0)
    ) > 0 THEN 1 ELSE 0 END
  END AS DOUBLE) AS "of_abandonment"
FROM (
  SELECT
    "t36".*
    EXCLUDE ("unit_right")
  FROM (
    SELECT
      "t29"."unit",
      "t29"."exposed",
      "t29"."tainted",
      "t29"."arm",
      "t29"."device",
      "t29"."country",
      "t29"."browser",
      "t29"."level",
      "t29"."placement",
      "t29"."playbook",
      "t29"."mask",
      "t29"."segments",
      "t29"."propensity",
      "t29"."ghost",
      "t29"."epoch",
      "t29"."of_abandonment_facts",
      "t29"."of_abandonment_not_facts",
      "t29"."step_drop_off_0_facts",
      "t29"."step_drop_off_1_facts",
      "t29"."active_facts",
      "t29"."events_before_facts",
      "t29"."cart_before_facts",
      "t35"."unit" AS "unit_right",
      "t35"."of_profit_orders",
      "t35"."of_conversion_orders",
      "t35"."step_drop_off_2_orders",
      "t35"."spent_before_orders"
    FROM (
      SELECT
        "t27".*
        EXCLUDE ("unit_right")
      FROM (
        SELECT
          "t19"."unit",
          "t19"."exposed",
          "t19"."tainted",
          "t19"."arm",
          "t19"."device",
          "t19"."country",
          "t19"."browser",
          "t19"."level",
          "t19"."placement",
          "t19"."playbook",
          "t19"."mask",
          "t19"."segments",
          "t19"."propensity",
          "t19"."ghost",
          "t19"."epoch",
          "t25"."unit" AS "unit_right",
          "t25"."of_abandonment_facts",
          "t25"."of_abandonment_not_facts",
          "t25"."step_drop_off_0_facts",
          "t25"."step_drop_off_1_facts",
          "t25"."active_facts",
          "t25"."events_before_facts",
          "t25"."cart_before_facts"
        FROM (
          SELECT
            "t11"."unit",
            "t11"."exposed",
            "t11"."tainted",
            "t11"."first"."arm" AS "arm",
            "t11"."first"."device" AS "device",
            "t11"."first"."country" AS "country",
            "t11"."first"."browser" AS "browser",
            "t11"."first"."level" AS "level",
            "t11"."first"."placement" AS "placement",
            "t11"."first"."playbook" AS "playbook",
            "t11"."first"."mask" AS "mask",
            "t11"."first"."segments" AS "segments",
            "t11"."first"."propensity" AS "propensity",
            CASE
              WHEN "t11"."first"."outcome" IN ('shown', 'control', 'holdout')
              THEN CAST(NULL AS TEXT)
              ELSE "t11"."first"."outcome"
            END AS "ghost",
            (
              CAST(CASE COALESCE("t11"."first"."playbook", '') WHEN 'r2' THEN 1 ELSE 0 END AS BIGINT) * 2
            ) + CAST("t11"."exposed" >= 1728172800000 AS BIGINT) AS "epoch"
          FROM "t10" AS "t11"
        ) AS "t19"
        LEFT OUTER JOIN (
          SELECT
            "t22"."unit",
            COUNT(*) FILTER(WHERE
              "t22"."event" IN ('Checkout Started')
              AND (
                (
                  "t22"."age" >= 0
                ) AND (
                  "t22"."age" <= 259200000
                )
              )) AS "of_abandonment_facts",
            BOOL_OR(
              CAST("t22"."event" IN ('Order Completed')
              AND (
                (
                  "t22"."age" >= 0
                ) AND (
                  "t22"."age" <= 259200000
                )
              ) AS BOOLEAN)
            ) AS "of_abandonment_not_facts",
            MIN("t22"."age") FILTER(WHERE
              (
                "t22"."event" = 'Checkout Started'
              )
              AND (
                "t22"."age" >= 0
              )
              AND (
                "t22"."age" <= 259200000
              )) AS "step_drop_off_0_facts",
            ARRAY_AGG("t22"."age") FILTER(WHERE
              "t22"."age" IS NOT NULL
              AND (
                "t22"."event" = 'Checkout Step Viewed'
              )
              AND (
                "t22"."age" >= 0
              )
              AND (
                "t22"."age" <= 259200000
              )
              AND (
                "t22"."step" = 'pay'
              )) AS "step_drop_off_1_facts",
            MAX("t22"."age") FILTER(WHERE
              "t22"."event" IN (
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
                "t22"."age" >= 0
              )
              AND (
                "t22"."age" <= 259200000
              )) AS "active_facts",
            COUNT(*) FILTER(WHERE
              "t22"."age" < 0) AS "events_before_facts",
            FIRST(
              CAST("t22"."amount" AS DOUBLE) * CASE
                WHEN (
                  "t22"."currency" IS NULL
                ) OR (
                  "t22"."currency" = 'EUR'
                )
                THEN 1.0
                WHEN (
                  "t22"."currency" = 'JPY'
                ) AND (
                  "t22"."time" >= 1728000000000
                )
                THEN 0.6
                WHEN (
                  "t22"."currency" = 'USD'
                ) AND (
                  "t22"."time" >= 1728086400000
                )
                THEN 0.95
                WHEN (
                  "t22"."currency" = 'USD'
                ) AND (
                  "t22"."time" >= 1725408000000
                )
                THEN 0.9
                ELSE NULL
              END ORDER BY "t22"."time" DESC
            ) FILTER(WHERE
              "t22"."event" IN ('Cart Viewed', 'Checkout Started')
              AND (
                "t22"."age" <= 0
              )
              AND (
                (
                  CAST("t22"."amount" AS DOUBLE) * CASE
                    WHEN (
                      "t22"."currency" IS NULL
                    ) OR (
                      "t22"."currency" = 'EUR'
                    )
                    THEN 1.0
                    WHEN (
                      "t22"."currency" = 'JPY'
                    ) AND (
                      "t22"."time" >= 1728000000000
                    )
                    THEN 0.6
                    WHEN (
                      "t22"."currency" = 'USD'
                    ) AND (
                      "t22"."time" >= 1728086400000
                    )
                    THEN 0.95
                    WHEN (
                      "t22"."currency" = 'USD'
                    ) AND (
                      "t22"."time" >= 1725408000000
                    )
                    THEN 0.9
                    ELSE NULL
                  END
                ) IS NOT NULL
              )) AS "cart_before_facts"
          FROM (
            SELECT
              "t16"."amount",
              "t16"."currency",
              "t16"."event",
              "t16"."step",
              "t16"."time",
              "t16"."trusted",
              "t16"."unit",
              "t16"."exposed",
              "t16"."time" - "t16"."exposed" AS "age"
            FROM (
              SELECT
                "t2"."amount",
                "t2"."currency",
                "t2"."event",
                "t2"."step",
                "t2"."time",
                "t2"."trusted",
                "t2"."unit",
                "t14"."exposed"
              FROM (
                SELECT
                  "t0"."amount",
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
              ) AS "t2"
              INNER JOIN "t12" AS "t14"
                ON "t2"."unit" = "t14"."unit"
            ) AS "t16"
            WHERE
              (
                "t16"."event" IN (
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
                  (
                    "t16"."time" - "t16"."exposed"
                  ) >= 0
                )
                AND (
                  (
                    "t16"."time" - "t16"."exposed"
                  ) <= 259200000
                )
              )
              OR (
                (
                  (
                    "t16"."time" - "t16"."exposed"
                  ) <= 0
                )
                AND (
                  (
                    "t16"."time" - "t16"."exposed"
                  ) >= -1209600000
                )
              )
          ) AS "t22"
          GROUP BY
            1
        ) AS "t25"
          ON "t19"."unit" = "t25"."unit"
      ) AS "t27"
    ) AS "t29"
    LEFT OUTER JOIN (
      SELECT
        "t33"."unit",
        SUM("t33"."profit") FILTER(WHERE
          (
            "t33"."age" >= 0
          )
          AND (
            "t33"."age" <= 259200000
          )
          AND "t33"."stands"
          AND (
            "t33"."horizon" = 432000000
          )) AS "of_profit_orders",
        COUNT(*) FILTER(WHERE
          (
            "t33"."age" >= 0
          )
          AND (
            "t33"."age" <= 259200000
          )
          AND "t33"."stands"
          AND (
            "t33"."horizon" = 432000000
          )
          AND "t33"."trusted") AS "of_conversion_orders",
        ARRAY_AGG("t33"."age") FILTER(WHERE
          "t33"."age" IS NOT NULL
          AND (
            "t33"."event" = 'Order Completed'
          )
          AND (
            "t33"."age" >= 0
          )
          AND (
            "t33"."age" <= 259200000
          )
          AND (
            "t33"."stands" AND (
              "t33"."horizon" = 432000000
            )
          )) AS "step_drop_off_2_orders",
        SUM("t33"."net") FILTER(WHERE
          (
            "t33"."age" < 0
          )
          AND (
            "t33"."age" >= -1209600000
          )
          AND (
            "t33"."horizon" = 0
          )
          AND "t33"."stands") AS "spent_before_orders"
      FROM (
        SELECT
          "t32".*
          EXCLUDE ("paid")
        FROM (
          SELECT
            "t31"."unit",
            "t31"."exposed",
            "t31"."horizon",
            "t31"."order",
            "t31"."time",
            "t31"."reports",
            "t31"."undone",
            "t31"."refunds",
            "t31"."goods",
            CAST("t31"."amount" AS DOUBLE) * "t31"."factor" AS "amount",
            "t31"."cost",
            "t31"."currency",
            CAST("t31"."shipping" AS DOUBLE) * "t31"."factor" AS "shipping",
            CAST("t31"."subtotal" AS DOUBLE) * "t31"."factor" AS "subtotal",
            CAST("t31"."tax" AS DOUBLE) * "t31"."factor" AS "tax",
            "t31"."paid",
            "t31"."back",
            "t31"."factor",
            'Order Completed' AS "event",
            TRUE AS "trusted",
            NOT (
              "t31"."undone"
            )
            AND NOT (
              (
                "t31"."refunds" > 0
              ) AND (
                "t31"."back" >= "t31"."amount"
              )
            )
            AND (
              "t31"."factor" IS NOT NULL
            ) AS "stands",
            CAST("t31"."subtotal" - LEAST("t31"."back", GREATEST(0, "t31"."subtotal")) AS DOUBLE) * "t31"."factor" AS "net",
            (
              CAST("t31"."subtotal" - LEAST("t31"."back", GREATEST(0, "t31"."subtotal")) AS DOUBLE) * "t31"."factor"
            ) - COALESCE("t31"."cost", 0) AS "profit",
            "t31"."time" - "t31"."exposed" AS "age"
          FROM (
            SELECT
              "t30"."unit",
              "t30"."exposed",
              "t30"."horizon",
              "t30"."order",
              "t30"."time",
              "t30"."reports",
              "t30"."undone",
              "t30"."refunds",
              "t30"."goods",
              "t30"."amount",
              "t30"."cost",
              "t30"."currency",
              "t30"."shipping",
              "t30"."subtotal",
              "t30"."tax",
              "t30"."paid",
              CASE
                WHEN ARRAY_LENGTH(
                  LIST_FILTER(
                    LIST_FILTER(
                      "t30"."paid",
                      LAMBDA __ibis_param_refund__ : (
                        (
                          (
                            __ibis_param_refund__
                          )."currency"
                        ) IS NULL
                      )
                      OR (
                        "t30"."currency" IS NULL
                      )
                      OR (
                        (
                          __ibis_param_refund__
                        )."currency" = "t30"."currency"
                      )
                    ),
                    LAMBDA __ibis_param_refund__ : (
                      (
                        __ibis_param_refund__
                      )."amount"
                    ) IS NULL
                  )
                ) > 0
                THEN "t30"."amount"
                ELSE GREATEST(
                  0,
                  LEAST(
                    COALESCE(
                      LIST_SUM(
                        LIST_APPLY(
                          LIST_FILTER(
                            "t30"."paid",
                            LAMBDA __ibis_param_refund__ : (
                              (
                                (
                                  __ibis_param_refund__
                                )."currency"
                              ) IS NULL
                            )
                            OR (
                              "t30"."currency" IS NULL
                            )
                            OR (
                              (
                                __ibis_param_refund__
                              )."currency" = "t30"."currency"
                            )
                          ),
                          LAMBDA __ibis_param_refund__ : (
                            __ibis_param_refund__
                          )."amount"
                        )
                      ),
                      0
                    ),
                    "t30"."amount"
                  )
                )
              END AS "back",
              CASE
                WHEN (
                  "t30"."currency" IS NULL
                ) OR (
                  "t30"."currency" = 'EUR'
                )
                THEN 1.0
                WHEN (
                  "t30"."currency" = 'JPY'
                ) AND (
                  "t30"."time" >= 1728000000000
                )
                THEN 0.6
                WHEN (
                  "t30"."currency" = 'USD'
                ) AND (
                  "t30"."time" >= 1728086400000
                )
                THEN 0.95
                WHEN (
                  "t30"."currency" = 'USD'
                ) AND (
                  "t30"."time" >= 1725408000000
                )
                THEN 0.9
                ELSE NULL
              END AS "factor"
            FROM (
              SELECT
                "t26"."unit",
                "t26"."exposed",
                "t26"."horizon",
                "t26"."order",
                "t26"."time",
                "t26"."reports",
                "t26"."undone",
                "t26"."refunds",
                "t26"."goods",
                COALESCE(
                  "t26"."amount",
                  "t26"."subtotal" + (
                    COALESCE("t26"."shipping", 0) + COALESCE("t26"."tax", 0)
                  )
                ) AS "amount",
                "t26"."cost",
                "t26"."currency",
                "t26"."shipping",
                "t26"."subtotal",
                "t26"."tax",
                "t26"."paid"
              FROM (
                SELECT
                  "t23"."unit",
                  "t23"."exposed",
                  "t23"."horizon",
                  "t23"."order",
                  "t23"."time",
                  "t23"."reports",
                  "t23"."undone",
                  "t23"."refunds",
                  "t23"."goods",
                  "t23"."amount",
                  "t23"."cost",
                  "t23"."currency",
                  "t23"."shipping",
                  COALESCE(
                    "t23"."subtotal",
                    CASE
                      WHEN "t23"."amount" IS NULL
                      THEN COALESCE("t23"."goods", 0)
                      ELSE GREATEST(0, "t23"."amount" - (
                        COALESCE("t23"."shipping", 0) + COALESCE("t23"."tax", 0)
                      ))
                    END
                  ) AS "subtotal",
                  "t23"."tax",
                  "t23"."paid"
                FROM (
                  SELECT
                    "t21"."unit",
                    "t21"."exposed",
                    "t21"."horizon",
                    "t21"."order",
                    COALESCE(
                      MIN("t21"."time") FILTER(WHERE
                        "t21"."event" = 'Order Completed'),
                      MIN("t21"."time") FILTER(WHERE
                        "t21"."event" IN ('Order Completed', 'Order Updated'))
                    ) AS "time",
                    SUM(CAST("t21"."event" = 'Order Completed' AS INT)) AS "reports",
                    BOOL_OR(CAST("t21"."event" IN ('Order Cancelled', 'Order Returned') AS BOOLEAN)) AS "undone",
                    SUM(CAST("t21"."event" = 'Order Refunded' AS INT)) AS "refunds",
                    FIRST("t21"."goods" ORDER BY {'time': "t21"."time", 'received': "t21"."received"} DESC) FILTER(WHERE
                      "t21"."event" IN ('Order Completed', 'Order Updated')
                      AND (
                        "t21"."goods" IS NOT NULL
                      )) AS "goods",
                    FIRST(
                      "t21"."amount" ORDER BY {'time': "t21"."time", 'received': "t21"."received"} DESC
                    ) FILTER(WHERE
                      "t21"."event" IN ('Order Completed', 'Order Updated')
                      AND (
                        "t21"."amount" IS NOT NULL
                      )) AS "amount",
                    FIRST("t21"."cost" ORDER BY {'time': "t21"."time", 'received': "t21"."received"} DESC) FILTER(WHERE
                      "t21"."event" IN ('Order Completed', 'Order Updated')
                      AND (
                        "t21"."cost" IS NOT NULL
                      )) AS "cost",
                    FIRST(
                      "t21"."currency" ORDER BY {'time': "t21"."time", 'received': "t21"."received"} DESC
                    ) FILTER(WHERE
                      "t21"."event" IN ('Order Completed', 'Order Updated')
                      AND (
                        "t21"."currency" IS NOT NULL
                      )) AS "currency",
                    FIRST(
                      "t21"."shipping" ORDER BY {'time': "t21"."time", 'received': "t21"."received"} DESC
                    ) FILTER(WHERE
                      "t21"."event" IN ('Order Completed', 'Order Updated')
                      AND (
                        "t21"."shipping" IS NOT NULL
                      )) AS "shipping",
                    FIRST(
                      "t21"."subtotal" ORDER BY {'time': "t21"."time", 'received': "t21"."received"} DESC
                    ) FILTER(WHERE
                      "t21"."event" IN ('Order Completed', 'Order Updated')
                      AND (
                        "t21"."subtotal" IS NOT NULL
                      )) AS "subtotal",
                    FIRST("t21"."tax" ORDER BY {'time': "t21"."time", 'received': "t21"."received"} DESC) FILTER(WHERE
                      "t21"."event" IN ('Order Completed', 'Order Updated')
                      AND (
                        "t21"."tax" IS NOT NULL
                      )) AS "tax",
                    ARRAY_AGG(
                      {'amount': CASE
                        WHEN "t21"."amount" >= 0
                        THEN "t21"."amount"
                        WHEN "t21"."goods" > 0
                        THEN "t21"."goods"
                        ELSE NULL
                      END, 'currency': "t21"."currency"}
                    ) FILTER(WHERE
                      {'amount': CASE
                        WHEN "t21"."amount" >= 0
                        THEN "t21"."amount"
                        WHEN "t21"."goods" > 0
                        THEN "t21"."goods"
                        ELSE NULL
                      END, 'currency': "t21"."currency"} IS NOT NULL
                      AND "t21"."event" = 'Order Refunded') AS "paid"
                  FROM (
                    SELECT
                      *
                    FROM (
                      SELECT
                        "t17"."order",
                        "t17"."time",
                        "t17"."received",
                        "t17"."event",
                        "t17"."amount",
                        "t17"."cost",
                        "t17"."currency",
                        "t17"."shipping",
                        "t17"."subtotal",
                        "t17"."tax",
                        "t17"."goods",
                        "t17"."owner",
                        "t17"."unit",
                        "t17"."exposed",
                        UNNEST(CAST([0, 432000000] AS INT[])) AS "horizon"
                      FROM (
                        SELECT
                          "t7"."order",
                          "t7"."time",
                          "t7"."received",
                          "t7"."event",
                          "t7"."amount",
                          "t7"."cost",
                          "t7"."currency",
                          "t7"."shipping",
                          "t7"."subtotal",
                          "t7"."tax",
                          "t7"."goods",
                          "t9"."owner",
                          "t15"."unit",
                          "t15"."exposed"
                        FROM (
                          SELECT
                            "t4".*
                            EXCLUDE ("unit")
                          FROM "t3" AS "t4"
                        ) AS "t7"
                        INNER JOIN (
                          SELECT
                            "t4"."order",
                            FIRST("t4"."unit" ORDER BY {'time': "t4"."time", 'received': "t4"."received"}) FILTER(WHERE
                              "t4"."event" IN ('Order Completed', 'Order Updated')
                              AND (
                                "t4"."unit" IS NOT NULL
                              )) AS "owner"
                          FROM "t3" AS "t4"
                          GROUP BY
                            1
                        ) AS "t9"
                          ON "t7"."order" = "t9"."order"
                        INNER JOIN "t12" AS "t15"
                          ON "t9"."owner" = "t15"."unit"
                      ) AS "t17"
                    ) AS "t20"
                    WHERE
                      "t20"."time" <= (
                        "t20"."exposed" + "t20"."horizon"
                      )
                  ) AS "t21"
                  GROUP BY
                    1,
                    2,
                    3,
                    4
                ) AS "t23"
                WHERE
                  "t23"."time" IS NOT NULL
              ) AS "t26"
            ) AS "t30"
          ) AS "t31"
        ) AS "t32"
      ) AS "t33"
      GROUP BY
        1
    ) AS "t35"
      ON "t29"."unit" = "t35"."unit"
  ) AS "t36"
) AS "t37"
