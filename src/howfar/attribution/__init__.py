"""Which variants drive a prediction, and which motifs they touch."""

#: Raised when values change; kept results of an older version are stale (see core.versions).
VERSION = 1
