"""Particle worlds (Lowe et al. 2017), many stepped at once in NumPy; they behave like mpe2's."""
