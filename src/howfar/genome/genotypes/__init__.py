"""Genotype files of every format behind one interface (`base.VariantSource`)."""
