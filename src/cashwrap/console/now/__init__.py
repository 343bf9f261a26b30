"""What happens now: pulses added up, whose orders were told of, and what somebody should look at."""
