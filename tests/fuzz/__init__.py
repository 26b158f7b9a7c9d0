"""Fuzz targets, which CI runs on a corpus and `make fuzz` on whatever atheris makes up."""
