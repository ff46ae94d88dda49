"""cis-eQTLs: lead variants, permutations, independent signals, agreement with networks."""
