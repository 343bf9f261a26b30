"""A chance from a shopper's attributes: trees or a line over encoded columns, and a calibration. Pure; numpy alone."""
