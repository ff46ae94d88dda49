"""TODO howfar.eqtl"""
