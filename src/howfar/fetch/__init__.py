"""TODO howfar.fetch"""
