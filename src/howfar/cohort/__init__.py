"""TODO howfar.cohort"""
