"""TODO howfar.attribution"""
