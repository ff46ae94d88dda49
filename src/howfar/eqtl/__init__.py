"""cis-eQTLs: lead variants, permutations, independent signals, agreement with networks."""

#: Raised when values change; kept results of an older version are stale (see core.versions).
VERSION = 2
