"""TODO howfar.bench"""
