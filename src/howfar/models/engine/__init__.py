"""TODO howfar.models.engine"""
