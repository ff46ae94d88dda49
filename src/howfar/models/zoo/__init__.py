"""TODO howfar.models.zoo"""
