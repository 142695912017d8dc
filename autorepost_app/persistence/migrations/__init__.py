"""How does a database get to the shape that `models` describes?"""
