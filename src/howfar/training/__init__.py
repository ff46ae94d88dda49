"""Training networks on people: losses, heads, samplers, schedules and splits of three studies."""

#: Raised when values change; kept results of an older version are stale (see core.versions).
VERSION = 2
