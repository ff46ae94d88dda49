"""TODO howfar.evaluation"""
