"""TODO howfar.prediction"""
