"""TODO howfar.genome"""
