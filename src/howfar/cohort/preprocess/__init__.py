"""Expression as studies prepared it from counts, RPKM or TPM: one recipe a module.

A recipe is a function `prepare` of a matrix gene x sample, complete and not negative, that returns
a `Prepared`. Its name and module stand in `howfar.core.registry.RECIPES`; the statistics that
recipes share are in `statistics`, the checks of their input in `base`.
"""
