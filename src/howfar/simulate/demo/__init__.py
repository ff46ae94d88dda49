"""The demo cohort: a simulated world whose every effect is known, and its model."""
