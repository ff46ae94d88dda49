"""Reference, genes, genotypes, and the haplotype windows built from them."""

#: Raised when values change; kept results of an older version are stale (see core.versions).
VERSION = 2
