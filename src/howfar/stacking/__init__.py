"""TODO howfar.stacking"""
