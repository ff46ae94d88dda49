"""Predictions of a network for people: run, kept, transformed."""

#: Raised when values change; kept results of an older version are stale (see core.versions).
VERSION = 1
