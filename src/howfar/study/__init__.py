"""TODO howfar.study"""
