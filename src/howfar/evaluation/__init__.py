"""Result tables of a study: one module a table or set of rows."""

#: Raised when values change; kept results of an older version are stale (see core.versions).
VERSION = 6
