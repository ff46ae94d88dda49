"""A cohort opened: its people, expression, genes, windows and dosages."""

#: Raised when values change; kept results of an older version are stale (see core.versions).
VERSION = 1
