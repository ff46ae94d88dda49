"""TODO howfar.genome.genotypes"""
