"""Tools for every other folder: errors, checks of arguments, random numbers, writing of files."""
