"""Simulated cohorts whose truth is known."""

#: Raised when values change; kept results of an older version are stale (see core.versions).
VERSION = 1
