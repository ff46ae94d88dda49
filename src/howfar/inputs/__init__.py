"""TODO howfar.inputs"""
